/**
 * Our own private key on real machines: gone, encrypted, and fixed. It is the operator's to fix,
 * so no machine is bought for it and none is ended. And an agent that never speaks after a set-up
 * that was done, which is the machine's: it ends, with what was seen.
 */
import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { missesBed } from "./gate.ts";
import { BedPlane, POOL } from "./plane.ts";

const isMissing = await missesBed("our own key, on machines");

const LIMIT_MS = 120_000;
/** Fails until it is let, so that attempts are under way. */
const GATE = "[ -e /var/go ] || exit 7";

describe.skipIf(isMissing)("the private key of set-ups", () => {
  let on: BedPlane | null = null;
  beforeAll(() => buildStale(), 300_000);
  afterEach(async () => {
    const left = (await on?.close()) ?? [];
    on = null;
    expect(left).toEqual([]);
  }, 60_000);

  const keyOf = (from: BedPlane): string => join(from.bed.stateDir, "own-key");

  async function open(setup: string[], more: Record<string, unknown> = {}): Promise<BedPlane> {
    on = await BedPlane.open({
      pool: ({ bed }) => ({
        ssh_private_key_path: join(bed.stateDir, "own-key"),
        setup_commands: setup,
        bootstrap_attempts: 3,
        ...more,
      }),
    });
    return on;
  }

  /** The pool's own words, once they say `text`. */
  const saysPool = (from: BedPlane, text: string) =>
    until(`the pool says ${text}`, 30_000, async () => {
      const { out } = await from.cli("pool", "list", "-o", "json");
      return out.includes(text) ? out : null;
    });

  test(
    "that is not there: nothing is bought, the pool says so, and it serves once it is there",
    async () => {
      const from = await open([]);
      await saysPool(from, "cannot be read");
      await Bun.sleep(5_000);
      expect(await from.bed.machines()).toEqual([]);
      const told = (await from.plane.events()).filter(({ kind }) => kind === "pool.condition");
      expect(told.map(({ message }) => message)).toEqual([
        expect.stringContaining("no machine can be set up, so none is bought"),
      ]);
      copyFileSync(from.bed.keyPath, keyOf(from));
      const [node] = await from.waitServing(1);
      expect((await from.attempts(node?.node_id ?? "")).map(({ state }) => state)).toEqual([
        "done",
      ]);
    },
    LIMIT_MS,
  );

  test(
    "that is encrypted in the middle: attempts wait, over a kill, and the machine serves",
    async () => {
      // Copied before the control plane first looks, or a moment after.
      const from = await open([GATE]);
      copyFileSync(from.bed.keyPath, keyOf(from));
      const { node_id: node, instance_id } = await from.waitNode();
      await from.waitEnd(node, 1);
      const secret = `${keyOf(from)}.new`;
      copyFileSync(from.bed.keyPath, secret);
      const lock = ["ssh-keygen", "-q", "-p", "-N", "a passphrase", "-P", "", "-f", secret];
      expect(Bun.spawnSync(lock).exitCode).toBe(0);
      renameSync(secret, keyOf(from));
      await saysPool(from, "is encrypted");
      const before = (await from.attempts(node)).length;
      await from.plane.kill();
      await from.restart();
      await saysPool(from, "is encrypted");
      await Bun.sleep(25_000);
      expect((await from.attempts(node)).length).toBe(before);
      for (const words of [
        ["explain", "node", node],
        ["get", node],
        ["pool", "list"],
      ]) {
        expect((await from.cli(...words)).out).toContain("is encrypted");
      }
      const machine = await from.bed.machine(instance_id ?? "");
      await machine.must("touch /var/go");
      rmSync(keyOf(from));
      copyFileSync(from.bed.keyPath, keyOf(from));
      expect((await from.waitServing(1))[0]?.node_id).toBe(node);
      expect((await from.attempts(node)).length).toBe(before + 1);
      expect(await from.bed.machines()).toHaveLength(1);
    },
    LIMIT_MS,
  );

  test(
    "a set-up that is done and an agent that is mute: the error says what was seen",
    async () => {
      on = await BedPlane.open({
        over: () => "instance_manager: { registration_timeout: 10s }\n",
        // The agent is put there, and nobody starts it.
        pool: { setup_templates: [], setup_commands: ["true"] },
      });
      const from = on;
      const { node_id: node, instance_id } = await from.waitNode();
      const failed = await until("its node has ended", 60_000, async () => {
        const events = await from.plane.events(`&node=${node}`);
        return events.find(({ kind }) => kind === "node.failed") ?? null;
      });
      expect(failed.message).toMatch(/^no agent registered within \d+ s of its set-up/);
      expect(failed.message).toContain(`instance ${instance_id} is running at 10.`);
      expect((await from.attempts(node)).map(({ state }) => state)).toEqual(["done"]);
      const pool = await from.cli("explain", "pool", POOL);
      expect(pool.code).toBe(0);
    },
    LIMIT_MS,
  );
});

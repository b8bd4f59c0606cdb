/**
 * What goes wrong while real machines are set up by a real control plane. Each story ends with a
 * node that serves, or with an error that is kept and that `navarch bootstrap <id>` prints.
 */
import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { readMemory } from "../../bench/process.ts";
import { missesBed } from "./gate.ts";
import type { Machine } from "./machine.ts";
import { BedPlane, type BedPlaneOptions } from "./plane.ts";

const WHAT = "bootstraps in trouble, on machines";
const isMissing = await missesBed(WHAT);

const LIMIT_MS = 120_000;
/** Fails once on each machine, so that something can be done to it before the next attempt. */
const ONCE = "[ -e /var/flag ] || { touch /var/flag; sync; echo first; exit 7; }";
/** Waits for the test. */
const GATE = "touch /var/flag; sync; until [ -e /var/go ]; do sleep 0.2; done";

let on: BedPlane | null = null;

async function open(options: BedPlaneOptions): Promise<BedPlane> {
  on = await BedPlane.open(options);
  return on;
}

/** The machine of the first node. */
async function first(from: BedPlane): Promise<{ node: string; machine: Machine }> {
  const node = await from.waitNode();
  return { node: node.node_id, machine: await from.bed.machine(node.instance_id ?? "") };
}

const flagOf = (machine: Machine): string => join(machine.root, "var/flag");

/** What the person reads: the stored error, by the compiled CLI. */
async function printed(from: BedPlane, node: string, attempt: number): Promise<string> {
  const { code, out } = await from.cli("bootstrap", node, "--attempt", String(attempt));
  expect([code, out]).toEqual([0, out]);
  return out;
}

describe.skipIf(isMissing)("a bootstrap on a real machine", () => {
  beforeAll(() => buildStale(), 300_000);
  afterEach(async () => {
    const left = (await on?.close()) ?? [];
    on = null;
    expect(left).toEqual([]);
  }, 60_000);

  test(
    "with a key that the machine does not know says that it was denied",
    async () => {
      const from = await open({
        pool: ({ bed }) => {
          const key = join(bed.stateDir, "stranger");
          const make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "x", "-f", key];
          Bun.spawnSync(make, { stdio: ["ignore", "ignore", "ignore"] });
          return { ssh_private_key_path: key, ssh_timeout: "6s", bootstrap_attempts: 1 };
        },
      });
      const { node } = await first(from);
      const ended = await from.waitEnd(node, 1);
      expect(ended.state).toBe("failed");
      expect(ended.error).toMatch(/^no SSH within 6s, last error: .*ubuntu/);
      expect(await printed(from, node, 1)).toContain(`failed: ${ended.error}`);
    },
    LIMIT_MS,
  );

  test(
    "stops where the host key has changed, and another machine serves",
    async () => {
      const from = await open({ pool: { ssh_host_key: "first-use", setup_commands: [ONCE] } });
      const { node, machine } = await first(from);
      expect((await from.waitEnd(node, 1)).error).toContain("exit 7");
      await machine.must("rm /etc/ssh/ssh_host_*; ssh-keygen -qA; systemctl restart ssh");
      const ended = await from.waitEnd(node, 2);
      expect(ended.error).toMatch(/host key/);
      expect(ended.steps.map(({ kind }) => kind)).toEqual(["connect"]);
      expect(await printed(from, node, 2)).toContain(`failed: ${ended.error}`);
      const [other] = await from.waitServing(1);
      expect(other?.node_id).not.toBe(node);
      expect(await from.attempts(node)).toHaveLength(2);
    },
    LIMIT_MS,
  );

  test(
    "as a user without sudo says so, once",
    async () => {
      const from = await open({ pool: { ssh_user: "plain" } });
      const { node } = await first(from);
      const ended = await from.waitEnd(node, 1);
      expect(ended.error).toMatch(/^no sudo: plain is not root/);
      expect(await printed(from, node, 1)).toContain(`failed: ${ended.error}`);
      await until("its node has ended", LIMIT_MS, async () => {
        const events = await from.plane.events(`&node=${node}`);
        return (
          events.some(({ kind, node_id }) => kind === "node.failed" && node_id === node) || null
        );
      });
      expect(await from.attempts(node)).toHaveLength(1);
    },
    LIMIT_MS,
  );

  test(
    "ends a command that hangs, with everything that it started",
    async () => {
      // Also what moved to the background, or into a process group of its own.
      const hang = "echo begun; sleep 3117 & timeout 3600 sleep 3117 & timeout 3600 sleep 3117";
      const command = `[ -e /var/flag ] || { touch /var/flag; ${hang}; }`;
      const from = await open({ pool: { command_timeout: "15s", setup_commands: [command] } });
      const { node, machine } = await first(from);
      const ended = await from.waitEnd(node, 1);
      expect(ended.error).toMatch(/15s.*its processes were ended/);
      expect(await machine.must("ps -eo args | grep -c '[s]leep 3117' || true")).toBe("0");
      const text = await printed(from, node, 1);
      expect(text).toContain("begun");
      expect(text).toContain(`failed: ${ended.error}`);
      await from.waitServing(1);
    },
    LIMIT_MS,
  );

  test(
    "keeps head and tail of 100 MB of output",
    async () => {
      const command = "echo the-head; head -c 100000000 /dev/zero | tr '\\0' x; echo; echo the-end";
      const from = await open({ pool: { setup_commands: [command] } });
      const [node] = await from.waitServing(1);
      const [attempt] = await from.attempts(node?.node_id ?? "");
      const said = attempt?.steps.find(({ kind, stdout }) => kind === "command" && stdout !== "")
        ? attempt.steps.at(-1)?.stdout
        : "";
      expect(said).toMatch(/^the-head\n/);
      expect(said).toMatch(/\nthe-end\n$/);
      expect(said).toContain("bytes left out");
      expect(said?.length ?? 0).toBeLessThan(140_000);
      const { rss } = readMemory([from.plane.pid]);
      console.error(`100 MB of output: the control plane has ${rss.toFixed()} MiB`);
      expect(await printed(from, node?.node_id ?? "", 1)).toContain("the-end");
    },
    LIMIT_MS,
  );

  test(
    "of a machine without power in the middle is replaced by one that serves",
    async () => {
      const from = await open({ pool: { setup_commands: [GATE] } });
      const { node, machine } = await first(from);
      await until("the command runs", LIMIT_MS, () => existsSync(flagOf(machine)) || null);
      await machine.cut();
      const ended = await from.waitEnd(node, 1);
      expect(ended.state).not.toBe("done");
      expect(await printed(from, node, 1)).toContain(`${ended.state}: ${ended.error}`);
      console.error(`power cut: ${ended.state}: ${ended.error}`);
      const next = await from.waitNode([node]);
      const other = await from.bed.machine(next.instance_id ?? "");
      await other.waitRunning();
      await other.must("touch /var/go");
      expect((await from.waitServing(1))[0]?.node_id).toBe(next.node_id);
    },
    LIMIT_MS,
  );

  test(
    "whose network is cut in the upload goes on with the next attempt",
    async () => {
      const from = await open({});
      const { node, machine } = await first(from);
      await machine.slow("20mbit");
      await from.waitAttempt(node, "the upload", ({ steps }) => {
        const last = steps.at(-1);
        return last?.kind === "push" && last.duration_ms === null;
      });
      await machine.unplug();
      const ended = await from.waitEnd(node, 1);
      expect(ended.error).toMatch(/^push agent .*(no sign of life|connection lost)/);
      expect(await printed(from, node, 1)).toContain(`failed: ${ended.error}`);
      await machine.heal();
      expect((await from.waitServing(1))[0]?.node_id).toBe(node);
    },
    LIMIT_MS,
  );

  test(
    "on a full disk says so, and goes on when there is room",
    async () => {
      const fill = "[ -e /var/flag ] || { touch /var/flag; cat /dev/zero >/var/fill; }";
      const from = await open({ disk: "tmpfs:400m", pool: { setup_commands: [fill] } });
      const { node, machine } = await first(from);
      const ended = await from.waitEnd(node, 1);
      expect(ended.error).toContain("No space left on device");
      expect(await printed(from, node, 1)).toContain("No space left on device");
      await machine.emptyDisk();
      expect((await from.waitServing(1))[0]?.node_id).toBe(node);
    },
    LIMIT_MS,
  );

  test(
    "of ten machines at once has every one serve",
    async () => {
      const from = await open({ size: 10 });
      const nodes = await from.waitServing(10, 90_000);
      for (const { node_id } of nodes) {
        const attempts = await from.attempts(node_id);
        expect(attempts.map(({ state }) => state)).toEqual(["done"]);
      }
      expect(await from.bed.machines()).toHaveLength(10);
    },
    LIMIT_MS,
  );

  test("by a template that always fails is slowed down by the guard", async () => {
    const from = await open({ pool: { bootstrap_attempts: 1, setup_commands: ["exit 9"] } });
    const of = async (kind: string) =>
      (await from.plane.events()).filter((event) => event.kind === kind);
    // The guard's own number: three in a row, and then one try in ten minutes.
    const failed = await until("three have failed", LIMIT_MS, async () => {
      const all = await of("node.failed");
      return all.length >= 3 ? all : null;
    });
    expect(failed[0]?.message).toContain("its set-up failed: setup_commands[3]: exit 9");
    // Nothing is in the way of the next one but the guard.
    await until("the three have ended", LIMIT_MS, async () => {
      const all = await of("node.terminated");
      return all.length >= 3 ? all : null;
    });
    await Bun.sleep(15_000);
    const bought = await of("node.booting");
    expect(bought).toHaveLength(3);
    expect(await printed(from, bought[0]?.node_id ?? "", 1)).toContain("exit 9");
  }, 180_000); // Three machines, each listed by its provider twice.
});

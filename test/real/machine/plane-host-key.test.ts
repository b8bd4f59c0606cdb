/**
 * A cloud that tells no host keys: each machine's key is pinned when it is first seen, kept in the
 * store, and asked for by every later attempt, also of a control plane that was killed meanwhile.
 */
import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { missesBed } from "./gate.ts";
import type { Machine } from "./machine.ts";
import { BedPlane, POOL } from "./plane.ts";

const isMissing = await missesBed("host keys that change, on machines");

const LIMIT_MS = 120_000;
/** Fails until it is let. */
const GATE = "[ -e /var/go ] || { touch /var/flag; exit 7; }";
const OTHER_KEYS = "rm /etc/ssh/ssh_host_*; ssh-keygen -qA; systemctl restart ssh";

/** A pool on a cloud that tells no host keys. */
function open(setup: string, more: Record<string, unknown> = {}): Promise<BedPlane> {
  return BedPlane.open({
    whole: ({ bed }) => ({
      providers: { machine: { state_dir: bed.stateDir, tell_host_keys: false } },
      pools: [
        {
          name: POOL,
          provider: "machine",
          instance_type: "h100-8x",
          ssh_keys: [bed.publicKey],
          ssh_user: "ubuntu",
          ssh_private_key_path: bed.keyPath,
          ssh_host_key: "first-use",
          push_agent: true,
          setup_commands: [setup],
          setup_templates: ["agent"],
          scaling: { min_nodes: 1, max_nodes: 3 },
          health: { unhealthy_threshold: 2, auto_replace: true },
          ...more,
        },
      ],
    }),
  });
}

/** `SHA256:…` of the key that sshd shows now, as ssh-keygen prints it. */
async function fingerprint(machine: Machine): Promise<string> {
  const printed = await machine.must("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub");
  return printed.split(" ")[1] ?? "?";
}

describe.skipIf(isMissing)("a host key that is pinned at first use", () => {
  let on: BedPlane | null = null;
  beforeAll(() => buildStale(), 300_000);
  afterEach(async () => {
    const left = (await on?.close()) ?? [];
    on = null;
    expect(left).toEqual([]);
  }, 60_000);

  test(
    "and has changed by the next attempt: stop, both fingerprints, another machine",
    async () => {
      on = await open(GATE);
      const from = on;
      const { node_id: node, instance_id } = await from.waitNode();
      const machine = await from.bed.machine(instance_id ?? "");
      expect((await from.waitEnd(node, 1)).error).toContain("exit 7");
      const [pinned] = await from.attempts(node);
      const before = await fingerprint(machine);
      const pub = await machine.must("cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub");
      expect(pinned?.host_key).toBe(pub);
      // What was pinned is not kept by the process that pinned it.
      await from.plane.kill();
      await machine.must(OTHER_KEYS);
      const after = await fingerprint(machine);
      await from.restart();
      const ended = await from.waitEnd(node, 2);
      expect(ended.error).toMatch(/^host key of .* is ssh-ed25519 SHA256:.* expected ssh-ed25519/);
      expect(ended.error).toContain(`${after}, expected ssh-ed25519 ${before}`);
      // Nothing was asked of a machine that may be somebody else's.
      expect(ended.steps.map(({ kind }) => kind)).toEqual(["connect"]);
      const text = await from.cli("bootstrap", node, "--attempt", "2");
      expect(text.out).toContain(`failed: ${ended.error}`);
      const failed = await until("its node has ended", LIMIT_MS, async () => {
        const events = await from.plane.events(`&node=${node}`);
        return events.find(({ kind }) => kind === "node.failed") ?? null;
      });
      expect(failed.message).toContain(after);
      const next = await from.waitNode([node]);
      const other = await from.bed.machine(next.instance_id ?? "");
      await other.waitRunning();
      await other.must("touch /var/go");
      expect((await from.waitServing(1))[0]?.node_id).toBe(next.node_id);
      expect(await from.attempts(node)).toHaveLength(2);
    },
    LIMIT_MS,
  );

  test("and changes on every machine: three are bought, and then the guard is in the way", async () => {
    on = await open(`${OTHER_KEYS}; exit 7`);
    const from = on;
    const of = async (kind: string) =>
      (await from.plane.events()).filter((event) => event.kind === kind);
    await until("the three have ended", 170_000, async () =>
      (await of("node.terminated")).length >= 3 ? true : null,
    );
    await Bun.sleep(15_000);
    const bought = await of("node.booting");
    expect(bought).toHaveLength(3);
    for (const { message } of await of("node.failed")) expect(message).toContain("host key of");
    for (const { node_id } of bought) {
      const attempts = await from.attempts(node_id ?? "");
      expect(attempts.map(({ state }) => state)).toEqual(["failed", "failed"]);
      expect(attempts[0]?.error).toMatch(/SHA256:.* expected .*SHA256:/);
    }
    const told = await from.cli("explain", "pool", POOL);
    expect(told.out).toContain("3 nodes in a row did not come up");
  }, 240_000);
});

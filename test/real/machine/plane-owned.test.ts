/**
 * A pool of owned machines on real ones: claimed from an inventory, set up over SSH, rebooted by
 * their own agents, held with an RMA record, and returned to service by a person.
 */
import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { NodeView } from "../../../schema/api.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { missesBed } from "./gate.ts";
import type { Machine } from "./machine.ts";
import { hostNameOf, openOwned, ownedPool } from "./owned.ts";
import { BedPlane } from "./plane.ts";

const isMissing = await missesBed("a pool of owned machines, on machines");
const LIMIT_MS = 120_000;
const SIZE = 3;

const bootsOf = (machines: readonly Machine[]): Promise<string[]> =>
  Promise.all(machines.map((one) => one.must("cat /proc/sys/kernel/random/boot_id")));

describe.skipIf(isMissing)("a pool of machines that the operator owns", () => {
  let on: BedPlane | null = null;
  let machines: Machine[] = [];
  beforeAll(() => buildStale(), 300_000);
  afterEach(async () => {
    const left = (await on?.close()) ?? [];
    on = null;
    expect(left).toEqual([]);
  }, 60_000);

  async function open(): Promise<BedPlane> {
    on = await BedPlane.open({
      async before(bed) {
        machines = await openOwned(bed, SIZE);
      },
      whole: ({ bed }) => ownedPool(bed, SIZE),
    });
    return on;
  }

  test(
    "a machine that is released and claimed again serves, and its agent takes orders",
    async () => {
      const from = await open();
      const [first] = await from.waitServing(SIZE);
      const address = first?.metadata.external_ip ?? null;
      const machine = machines.find((one) => one.address === address);
      if (first === undefined || machine === undefined) throw new Error("no node");
      // Raises the fence that the agent has seen: the next node begins with a lower one.
      for (let i = 0; i < 4; i++) {
        await from.cli("cordon", first.node_id, "--reason", "test");
        await from.cli("uncordon", first.node_id);
      }
      machine.xid(79);
      await machine.waitReboot(await machine.bootId());
      await from.waitServing(SIZE, LIMIT_MS);
      const left = await from.cli("terminate", first.node_id, "--reason", "test", "--yes");
      expect(left.code).toBe(0);
      const again = await from.told(() =>
        until("the machine is claimed again", LIMIT_MS, async () => {
          const nodes = await from.plane.serving();
          const here = nodes.find(({ metadata }) => metadata.external_ip === address);
          return here === undefined || here.node_id === first.node_id ? null : here;
        }),
      );
      expect(machine.state).toBe("up");
      const before = await machine.bootId();
      machine.xid(79);
      expect(await machine.waitReboot(before)).not.toBe(before);
      const nodes = await from.waitServing(SIZE, LIMIT_MS);
      expect(nodes.map(({ node_id }) => node_id)).toContain(again.node_id);
    },
    4 * LIMIT_MS,
  );

  const phaseIs = (from: BedPlane, id: string, phase: string): Promise<NodeView> =>
    from.told(() =>
      until(`${id} is ${phase}`, LIMIT_MS, async () => {
        const node = (await from.plane.nodes()).find((one) => one.node_id === id);
        return node?.phase === phase ? node : null;
      }),
    );

  test(
    "XID 79: cordon, drain, reboot; again: held with an RMA record; then back by a person",
    async () => {
      const from = await open();
      const nodes = await from.waitServing(SIZE);
      const before = await bootsOf(machines);
      const [sick] = nodes;
      const index = machines.findIndex(({ address }) => address === sick?.metadata.external_ip);
      const machine = machines[index];
      if (sick === undefined || machine === undefined) throw new Error("no node");
      const id = sick.node_id;

      machine.xid(79);
      // The control plane dies while the machine is taken out of service.
      await until(`${id} leaves`, LIMIT_MS, async () => {
        const node = (await from.plane.nodes()).find((one) => one.node_id === id);
        return node !== undefined && node.phase !== "serving" ? node : null;
      });
      await from.plane.kill();
      await from.restart();
      await machine.waitReboot(before[index] ?? "");
      await from.waitServing(SIZE, LIMIT_MS);

      machine.xid(79, "GPU has fallen off the bus.");
      const held = await phaseIs(from, id, "held");
      expect(held.rma).toMatchObject({
        host: hostNameOf(index),
        rack: `r4-u${index + 1}`,
        provider: "dc",
        rebooted_at: expect.any(String),
        faults: [{ fault: "XID 79", gpu_uuid: expect.stringContaining("GPU-") }],
      });
      expect(held.rma?.faults[0]?.line).toContain("fallen off the bus");
      const shown = await from.cli("get", id);
      expect(shown.out).toContain("RMA record of");
      expect((await from.cli("explain", id)).out).toContain("RMA: XID 79");

      // One reboot of one machine, and nothing was ended.
      const after = await bootsOf(machines);
      expect(after.filter((boot, at) => boot !== before[at])).toHaveLength(1);
      expect(machines.map(({ state }) => state)).toEqual(machines.map(() => "up"));
      const kinds = (await from.plane.events("&limit=1000")).map(({ kind }) => kind);
      expect(kinds.filter((kind) => kind === "node.repairing")).toHaveLength(1);
      expect(kinds).not.toContain("node.terminating");

      const back = ["uncordon", id, "--force", "--reason", "GPU 0 replaced, RMA 4711"];
      const { code, out } = await from.cli(...back);
      expect([code, out]).toEqual([0, out]);
      await from.waitServing(SIZE);
    },
    4 * LIMIT_MS,
  );
});

/**
 * The demonstration on machines that the operator owns: three throw-away Debian machines in an
 * inventory are claimed, set up over SSH, and serve; one finds XID 79 in its kernel log and is
 * rebooted by its agent, finds it again and is held with an RMA record. Needs root; nothing of it
 * is left on this computer afterwards.
 */
import { NAVARCH, Plane } from "../fixture/plane/plane.ts";
import { openBed } from "../real/machine/bed.ts";
import { openOwned, ownedPool } from "../real/machine/owned.ts";
import type { Stage } from "./machine.ts";

export async function openOwnedStage(size: number, timing: string): Promise<Stage> {
  const bed = await openBed();
  const machines = await openOwned(bed, size).catch(async (error: unknown) => {
    await bed.close();
    throw error;
  });
  const boots = await Promise.all(machines.map((one) => one.bootId()));
  const settings = ownedPool(bed, size);
  const yaml = `
server:
  address: 0.0.0.0:0
${timing}
kubernetes: { enabled: false }
providers: ${JSON.stringify(settings.providers)}
pools: ${JSON.stringify(settings.pools)}
`;
  const plane = new Plane(yaml, {}, [], NAVARCH);
  await bed.guard(plane.state);
  const at = async (instance: string) => {
    const node = (await plane.nodes()).find((one) => one.instance_id === instance);
    return machines.findIndex(({ address }) => address === node?.metadata.external_ip);
  };
  return {
    plane,
    what: `${size} machines of an inventory, set up over SSH`,
    acts: ["node.recovered", "node.held"],
    ending: "rebooted, then held for a person",
    async break(instance) {
      machines[await at(instance)]?.xid(79);
    },
    async judge(sick) {
      const problems: string[] = [];
      const index = await at(sick);
      for (const [i, machine] of machines.entries()) {
        const isRebooted = (await machine.bootId()) !== boots[i];
        if (isRebooted !== (i === index)) problems.push(`${machine.name}: a wrong reboot`);
      }
      const nodes = await plane.nodes();
      const held = nodes.find((one) => one.instance_id === sick);
      if (held?.rma === undefined) problems.push(`${sick} has no RMA record`);
      const serving = nodes.filter(({ phase }) => phase === "serving").length;
      if (serving !== size - 1) problems.push(`${serving} nodes serve, wanted ${size - 1}`);
      return problems;
    },
    async end() {
      await plane.stop();
      const left = await bed.close();
      return [...left, ...(await plane.destroy())];
    },
  };
}

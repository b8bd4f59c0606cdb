/**
 * The demonstration on real machines: three throw-away Debian machines are booted, set up over SSH
 * as `ubuntu`, and serve; one finds XID 79 in its kernel log and is replaced by a fresh one. Needs
 * root; nothing of it is left on this computer afterwards.
 */
import { readFileSync } from "node:fs";
import { buildMachineNavarch } from "../fixture/machine/build.ts";
import { openBed } from "../real/machine/bed.ts";
import { Plane } from "../fixture/plane/plane.ts";

export type Stage = {
  plane: Plane;
  /** What is said of the nodes that were asked for. */
  what: string;
  /** The fault comes as often as there are acts; each ends with this event of the sick node. */
  acts: readonly string[];
  /** What has become of the sick node at the end. */
  ending: string;
  /** Puts XID 79 into the kernel log of an instance. */
  break(instance: string): Promise<void>;
  /** What is wrong with the world, besides what the control plane says of it. */
  judge(dead: string): Promise<string[]>;
  /** Ends everything; says what is left over. */
  end(): Promise<string[]>;
};

export async function openMachineStage(size: number, timing: string): Promise<Stage> {
  const bed = await openBed();
  const publicKey = readFileSync(`${bed.keyPath}.pub`, "utf8").trim();
  const yaml = `
server:
  address: 0.0.0.0:0
${timing}
kubernetes: { enabled: false }
providers:
  machine: { state_dir: ${bed.stateDir} }
pools:
  - name: training
    provider: machine
    instance_type: h100-8x
    ssh_keys: ["${publicKey}"]
    ssh_user: ubuntu
    ssh_private_key_path: ${bed.keyPath}
    ssh_host_key: provider
    push_agent: true
    setup_templates: [agent]
    scaling: { min_nodes: ${size}, max_nodes: ${size + 2} }
    health: { unhealthy_threshold: 2, auto_replace: true }
    labels: { workload: training }
`;
  const plane = new Plane(yaml, {}, [], await buildMachineNavarch());
  return {
    plane,
    what: "three Debian machines, set up over SSH",
    acts: ["node.replaced"],
    ending: "healed",
    async break(instance) {
      (await bed.machine(instance)).xid(79);
    },
    async judge(dead) {
      const machines = await bed.machines();
      const problems: string[] = [];
      const serving = (await plane.serving()).length;
      if (serving !== size) problems.push(`${serving} nodes serve, wanted ${size}`);
      if (machines.length !== size)
        problems.push(`${machines.length} machines run, wanted ${size}`);
      if (machines.some(({ id }) => id === dead)) problems.push(`machine ${dead} still runs`);
      return problems;
    },
    async end() {
      await plane.stop();
      const left = await bed.close();
      return [...left, ...(await plane.destroy())];
    },
  };
}

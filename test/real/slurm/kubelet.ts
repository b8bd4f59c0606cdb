/**
 * The kubelets of Slurm's pods on a real API server: a pod is its slurmd, which boots with the pod
 * and dies with it. At each end of a pod scontrol and squeue are asked what it held.
 *
 * Adapter: timers.
 */
import type { Cluster } from "../kubernetes/cluster.ts";
import type { SlurmCluster } from "./cluster.ts";

/** Pods as they come and go, by UID, and what was wrong when one ended. */
export class Kubelet {
  readonly wrong: string[] = [];
  readonly boots: string[] = [];
  readonly ends: string[] = [];
  readonly #cluster: Cluster;
  readonly #slurm: SlurmCluster;
  readonly #pods = new Map<string, string>();
  #isStopped = false;
  readonly #loop: Promise<void>;

  readonly #names: readonly string[];

  constructor(cluster: Cluster, slurm: SlurmCluster, names: readonly string[]) {
    this.#names = names;
    this.#cluster = cluster;
    this.#slurm = slurm;
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      await this.#look();
      await Bun.sleep(300);
    }
  }

  async #look(): Promise<void> {
    const answer = await this.#cluster.request("/api/v1/namespaces/slurm/pods");
    const { items } = (await answer.json()) as {
      items: { metadata: { name: string; uid: string; deletionTimestamp?: string } }[];
    };
    const now = new Map(
      items.flatMap(({ metadata: { name, uid, deletionTimestamp } }) =>
        deletionTimestamp === undefined && this.#names.includes(name) ? [[name, uid] as const] : [],
      ),
    );
    for (const [name, uid] of this.#pods) {
      if (now.get(name) === uid) continue;
      await this.#judge(name);
      await this.#slurm.killNode(name);
      this.#pods.delete(name);
      this.ends.push(name);
    }
    for (const [name, uid] of now) {
      if (this.#pods.has(name)) continue;
      this.#pods.set(name, uid);
      this.#slurm.startNode(name, { isBoot: true });
      this.boots.push(name);
    }
  }

  async #judge(name: string): Promise<void> {
    const node = await this.#slurm.node(name);
    const jobs = await this.#slurm.must("squeue", "-h", "-w", name, "-t", "R,CG,S", "-o", "%i");
    if (jobs.trim() !== "") this.wrong.push(`${name} ended with jobs ${jobs.trim()}`);
    const isOwn = node?.["Reason"]?.startsWith("slurm-scale: ") === true;
    if (!isOwn || node["State"]?.includes("DRAIN") !== true) {
      this.wrong.push(`${name} ended as ${node?.["State"]} (${node?.["Reason"]})`);
    }
  }
}

/**
 * A real slurmctld and a real API server with several lanes beside them, and rounds on the lanes.
 */
import { type Cluster, openCluster } from "../../kubernetes/cluster.ts";
import { openSlurm, type SlurmCluster } from "../cluster.ts";
import { type Case, nameOf } from "./case.ts";
import { Lane } from "./lane.ts";
import type { Passed } from "./order.ts";
import { Story } from "./story.ts";

/** A pod takes this long to end, and the job longer. */
const POD_END_MS = 1_500;

export type Tried = { name: string; wrongs: readonly string[]; died: readonly Passed[] };

export class Bed {
  readonly slurm: SlurmCluster;
  readonly cluster: Cluster;
  readonly lanes: readonly Lane[];
  private rounds = 0;

  private constructor(slurm: SlurmCluster, cluster: Cluster, lanes: readonly Lane[]) {
    this.slurm = slurm;
    this.cluster = cluster;
    this.lanes = lanes;
  }

  static async open(count: number): Promise<Bed> {
    const slurm = await openSlurm({ nodes: 2 * count });
    const cluster = await openCluster({ podEndMs: POD_END_MS });
    const lanes = Array.from({ length: count }, (_, i) => new Lane(slurm, cluster, i));
    const bed = new Bed(slurm, cluster, lanes);
    try {
      for (const lane of lanes) await lane.open();
      return bed;
    } catch (error) {
      await bed.close();
      throw error;
    }
  }

  /** The points of a repair without a death; throws if even that goes wrong. */
  async reference(): Promise<Passed[]> {
    const [lane] = this.lanes;
    if (lane === undefined) throw new Error("there is no lane");
    const told = await new Story(lane, (this.rounds += 1), "nothing").live([]);
    if (told.wrongs.length > 0) throw new Error(told.wrongs.join("; "));
    return told.points;
  }

  /** All of them, on as many lanes at once as share nothing that a case takes away. */
  async tryAll(cases: readonly Case[], tell: (tried: Tried) => void): Promise<Tried[]> {
    const tried: Tried[] = [];
    const run = async (lane: Lane, next: () => Case | undefined): Promise<void> => {
      for (let one = next(); one !== undefined; one = next()) {
        const done = await this.tryOne(lane, one);
        tried.push(done);
        tell(done);
      }
    };
    const shared = cases.filter(({ meanwhile }) => meanwhile !== "controller");
    await Promise.all(this.lanes.map((lane) => run(lane, () => shared.shift())));
    const alone = cases.filter(({ meanwhile }) => meanwhile === "controller");
    for (const lane of this.lanes.slice(0, 1)) await run(lane, () => alone.shift());
    return tried;
  }

  async close(): Promise<string[]> {
    const left: string[] = [];
    for (const lane of this.lanes) left.push(...(await lane.close()));
    await this.slurm.close();
    return [...left, ...(await this.cluster.close())];
  }

  private async tryOne(lane: Lane, one: Case): Promise<Tried> {
    const name = nameOf(one);
    try {
      const story = new Story(lane, (this.rounds += 1), one.meanwhile);
      const { wrongs, deaths } = await story.live(one.deaths);
      // One that Slurm or a fault left out of service would spoil the rounds after it.
      if (wrongs.length > 0) {
        await this.slurm.run(["scontrol", "update", `nodename=${lane.sick}`, "state=resume"]);
      }
      return { name, wrongs, died: deaths };
    } catch (error) {
      return { name, wrongs: [String(error)], died: [] };
    }
  }
}

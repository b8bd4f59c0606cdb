/** The benches of the cluster's side, each with the pace and the size that its target names. */
import { m2 } from "./m2.ts";
import { m3 } from "./m3.ts";
import { m4 } from "./m4.ts";
import { m8 } from "./m8.ts";
import type { BenchRun, Outcome } from "./outcome.ts";

export type KubernetesBench = {
  /** How often the whole is done, where the worst of it counts. */
  runs: number;
  /** Which fault is reported. */
  xid: number;
  run(how: BenchRun): Promise<Outcome>;
};

export const KUBERNETES_BENCHES: ReadonlyMap<string, KubernetesBench> = new Map([
  ["m2", { runs: 1, xid: 79, run: m2 }],
  ["m3", { runs: 10, xid: 48, run: m3 }],
  ["m4", { runs: 5, xid: 48, run: m4 }],
  ["m8", { runs: 1, xid: 79, run: m8 }],
]);

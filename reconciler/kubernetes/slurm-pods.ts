/** Pods of Slinky's NodeSets, and what a cordon tells their operator (docs/slinky.md). */
import type { KubernetesConfig } from "../../schema/config.ts";
import type { Fence } from "../core/provider.ts";
import type { KubePod } from "../core/kubernetes/object.ts";
import { cordonReasonOf } from "../core/kubernetes/slinky.ts";
import type { HoldOptions } from "./cordon.ts";

export class SlurmPods {
  readonly #mode: KubernetesConfig["slinky"];
  #count = 0;

  constructor({ slinky }: KubernetesConfig) {
    this.#mode = slinky;
  }

  /** One pod before and after a change. */
  note(before: KubePod | null, after: KubePod | null): void {
    this.#count += Number(after?.slurm !== undefined) - Number(before?.slurm !== undefined);
  }

  /** `pods`: those of the Node. A NodeSet's pod may come to it later: one anywhere is enough. */
  cordon(
    pods: Iterable<KubePod>,
    { sessionId, nodeId }: Fence,
    why: string,
  ): Pick<HoldOptions, "slurm"> {
    if (this.#mode === false || (this.#mode === "auto" && this.#count === 0)) return {};
    const foreign = [...pods].some(({ slurm }) => slurm?.draining === true);
    return { slurm: { reason: cordonReasonOf(sessionId ?? nodeId, why), foreign } };
  }
}

/**
 * Whether one more machine of a pool could run a job, by what the pool's NodeNames have in Slurm.
 * Pure. What cannot be judged fits: a job that waits in vain is worse than a node too many.
 */
import type { SlurmJob, SlurmNode } from "./object.ts";
import { isOutage, isPowerSaving } from "./state.ts";

export type Ask = Pick<SlurmJob, "features" | "gpuTypes" | "requiredNodes">;

/** `nodes`: of all NodeNames of the pool; empty = not known. */
export function couldRun(job: Ask, nodes: readonly SlurmNode[]): boolean {
  return nodes.length === 0 || nodes.some((node) => hasAll(node, job));
}

function hasAll(node: SlurmNode, { features, gpuTypes, requiredNodes }: Ask): boolean {
  if (!hasFeatures(node, features)) return false;
  const types = new Set(typesIn(node.gres));
  if (!gpuTypes.every((type) => types.has(type.toLowerCase()))) return false;
  // Of a job that names its nodes only one without a machine waits for a machine.
  return requiredNodes.length === 0 || (requiredNodes.includes(node.name) && isAway(node));
}

const FEATURES_CHARS_MAX = 1_000;

/** As `--constraint` has it: `a&b`, `a|b`, `(a|b)&c`; of `[a|b]` and `a*2&b*4` a node has one. */
function hasFeatures({ features }: SlurmNode, asked: string | null): boolean {
  if (asked === null || asked.length > FEATURES_CHARS_MAX) return true;
  const isCounted = asked.includes("*");
  const tokens = asked.match(/[&|,()[\]]|[^&|,()[\]]+/g) ?? [];
  let at = 0;
  // From left to right, as Slurm reads it.
  const any = (isOne: boolean): boolean => {
    let has = one();
    while (at < tokens.length && tokens[at] !== ")" && tokens[at] !== "]") {
      const isOr = tokens[at] === "|" || isOne;
      at += 1;
      const other = one();
      has = isOr ? has || other : has && other;
    }
    at += 1;
    return has;
  };
  const one = (): boolean => {
    const token = tokens[at++] ?? "";
    if (token === "(" || token === "[") return any(isCounted || token === "[");
    return features.includes((token.split("*")[0] ?? "").trim());
  };
  return any(isCounted);
}

/** Of `gpu:h100:8(S:0-1),gpu:1g.10gb:2`. */
function typesIn(gres: string | null): string[] {
  return (gres ?? "").split(",").flatMap((part) => {
    const [kind, type] = (part.split("(")[0] ?? "").split(":");
    return kind === "gpu" && type !== undefined ? [type.toLowerCase()] : [];
  });
}

function isAway(node: SlurmNode): boolean {
  const { base, flags, bootTime } = node;
  if (bootTime === null || base === "UNKNOWN" || base === "FUTURE") return true;
  return isOutage(node) || isPowerSaving(node) || flags.includes("NOT_RESPONDING");
}

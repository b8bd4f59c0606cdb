/** Who uncordoned a node, and how its repair is resumed. */
import { countOf } from "../../../schema/article.ts";
import { iso } from "./code.ts";

/** `by` `null`: nobody is known. */
export const sayUncordon = (by: string | null): string =>
  `uncordoned in Kubernetes by ${by ?? "hand"}`;

/** A repair that an uncordon in Kubernetes cancelled. */
export type CalledOff = { by: string | null; at: number };

export const sayCalledOff = ({ by, at }: CalledOff): string =>
  `its repair was cancelled: ${sayUncordon(by)} at ${iso(at)}`;

/** `cordon`: the Node of which a cordon resumes it; `times`: of cancelling, after which none does. */
export type Resume = { order: string; cordon: string | null; times: number | null };

/** How a person resumes a cancelled repair. */
export function sayResume({ order, cordon, times }: Resume): string {
  const resume = "Resume its repair, drain included, with";
  if (cordon !== null) return `${resume} \`kubectl cordon ${cordon}\` or \`${order}\``;
  if (times === null) return `${resume} \`${order}\``;
  const calledOff = `cancelled ${countOf(times, "time")} since its fault began`;
  return `${resume} \`${order}\` (${calledOff}: a cordon does not resume it)`;
}

/** The state of a Flux object from its conditions. Pure. */
import {
  FLUX_KINDS,
  type Condition,
  type FluxKind,
  type FluxState,
} from "../../../schema/console/cluster.ts";

/** Without a Ready condition no controller has looked at it yet. */
export function fluxState(
  ready: Pick<Condition, "status" | "reason"> | undefined,
  isSuspended: boolean,
): FluxState {
  if (isSuspended) return "Suspended";
  if (ready?.status === "True") return "Reconciled";
  if (ready?.status !== "False" || ready.reason === "Progressing") return "Reconciling";
  return "Failed";
}

/** The kind that a path names: `helmrelease`, `HelmRelease` or `helmreleases`; `null`: none. */
export function fluxKindOf(text: string): FluxKind | null {
  const asked = text.toLowerCase();
  const names = (kind: FluxKind): string[] => [kind.toLowerCase(), pluralOf(kind)];
  return FLUX_KINDS.find((kind) => names(kind).includes(asked)) ?? null;
}

/** The name of the resource: `helmrepositories`. */
export const pluralOf = (kind: FluxKind): string => `${kind.toLowerCase()}s`.replace(/ys$/, "ies");

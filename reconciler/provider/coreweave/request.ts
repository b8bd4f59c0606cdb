/** The resource in which a `coreweave` provider buys, and what is not sold by the Node. Pure. */
import type { CreateRequest } from "../../core/provider.ts";

export const POOLS = "/apis/compute.coreweave.com/v1alpha1/nodepools";
export const NO_RESOURCE =
  "the cluster has no NodePool resource, so it is not CoreWeave's: " +
  "check kubeconfig of the provider";

export const pathOf = (name: string): string => `${POOLS}/${encodeURIComponent(name)}`;

/** Racks are bought whole: 18 Nodes, which no slot of a pool can hold. */
const RACK = /^gb\d+-/;

/** Why the place cannot be bought as one NodePool of one Node; `null` = it can. */
export function whyNotSold(place: Pick<CreateRequest, "instanceType" | "market">): string | null {
  const { instanceType, market } = place;
  if (RACK.test(instanceType)) {
    return `${instanceType} is sold in racks of 18 Nodes, and Navarch buys single ones`;
  }
  if (market === "reserved") {
    return "CoreWeave takes reserved capacity first by itself: use market on-demand";
  }
  return null;
}

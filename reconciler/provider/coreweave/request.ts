/**
 * The calls of a `coreweave` provider that only read, every page or a failure, and what CoreWeave
 * does not sell by the Node.
 */
import * as v from "valibot";
import type { CreateRequest, Failed } from "../../core/provider.ts";
import type { KubeAnswer, KubeApi } from "../../kubernetes/api.ts";

export type { Failed };

export const POOLS = "/apis/compute.coreweave.com/v1alpha1/nodepools";
const REMEDY = "check kubeconfig of the provider";
export const NO_RESOURCE =
  `the cluster has no NodePool resource, so it is not CoreWeave's: ${REMEDY}`;

export const pathOf = (name: string): string => `${POOLS}/${encodeURIComponent(name)}`;

/** More than one control plane has nodes; a list that does not end is a mistake. */
const PAGES_MAX = 1_000;
const PAGE = "500";

const Page = v.object({
  items: v.array(v.unknown()),
  metadata: v.nullish(v.object({ continue: v.nullish(v.string(), "") }), {}),
});

/** All pages; one object that cannot be read fails the whole list. */
export async function listAll<T>(
  api: KubeApi,
  path: string,
  query: Readonly<Record<string, string>>,
  schema: v.GenericSchema<unknown, T>,
  timeoutMs: number,
): Promise<{ kind: "ok"; items: T[] } | Failed> {
  const items: T[] = [];
  let next = "";
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    const more = { ...query, limit: PAGE, ...(next === "" ? {} : { continue: next }) };
    const answer = await api.call({ verb: "list", path, query: more, timeoutMs, lane: "read" });
    if (answer.kind !== "ok") return failedOf(answer);
    const page = v.safeParse(Page, answer.body);
    if (!page.success) return unreadable(path, page.issues[0]);
    const read = v.safeParse(v.array(schema), page.output.items);
    if (!read.success) return unreadable(path, read.issues[0]);
    items.push(...read.output);
    next = page.output.metadata?.continue ?? "";
    if (next === "") return { kind: "ok", items };
  }
  return unavailable(`${path}: more than ${PAGES_MAX} pages`);
}

function unreadable(path: string, issue: v.BaseIssue<unknown>): Failed {
  return unavailable(`${path}: ${v.getDotPath(issue) ?? "reply"}: ${issue.message}`);
}

const unavailable = (message: string): Failed => {
  return { kind: "failed", class: "unavailable", message };
};

export function failedOf(answer: Exclude<KubeAnswer, { kind: "ok" }>): Failed {
  if (answer.kind === "lost") return unavailable(answer.message);
  const { status, message } = answer;
  if (status === 404) return unavailable(NO_RESOURCE);
  if (status === 401) return { kind: "failed", class: "auth", message: `${message}: ${REMEDY}` };
  const cls = status === 403 ? "auth" : status === 429 ? "rate_limit" : "unavailable";
  return { kind: "failed", class: cls, message };
}

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

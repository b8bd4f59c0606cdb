/**
 * What providers share that buy through a Kubernetes API server: every page of a list or a failure,
 * and what an answer that is no success proves.
 */
import { type Millis, waitMs } from "../../../schema/millis.ts";
import * as v from "valibot";
import type { Failed, RefusalClass } from "../../core/provider.ts";
import type { KubeAnswer, KubeApi } from "../../kubernetes/api.ts";

const REMEDY = "check kubeconfig of the provider";

/** More than one control plane has nodes; a list that does not end is a mistake. */
const PAGES_MAX = 1_000;
const PAGE = "500";

const Page = v.object({
  items: v.array(v.unknown()),
  metadata: v.nullish(v.object({ continue: v.nullish(v.string(), "") }), {}),
});

export type ListOptions<T> = {
  path: string;
  query: Readonly<Record<string, string>>;
  schema: v.GenericSchema<unknown, T>;
  timeoutMs: number;
  /** Says that the server has no such resource. */
  lacks?: string;
};

/** All pages; one object that cannot be read fails the whole list. */
export async function listAll<T>(
  api: KubeApi,
  { path, query, schema, timeoutMs, lacks }: ListOptions<T>,
): Promise<{ kind: "ok"; items: T[] } | Failed> {
  const items: T[] = [];
  let next = "";
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    const more = { ...query, limit: PAGE, ...(next === "" ? {} : { continue: next }) };
    const answer = await api.call({ verb: "list", path, query: more, timeoutMs, lane: "read" });
    if (answer.kind !== "ok") return failedOf(answer, lacks);
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

type Refused = Extract<KubeAnswer, { kind: "refused" }>;
type Lost = Extract<KubeAnswer, { kind: "lost" }>;

export function failedOf(answer: Refused | Lost, lacks?: string): Failed {
  if (answer.kind === "lost") return unavailable(answer.message);
  const { status, message } = answer;
  if (status === 404 && lacks !== undefined) return unavailable(lacks);
  if (status === 401) return { kind: "failed", class: "auth", message: `${message}: ${REMEDY}` };
  const cls = status === 403 ? "auth" : status === 429 ? "rate_limit" : "unavailable";
  return { kind: "failed", class: cls, message };
}

/** `null` = it may have been accepted: a server that failed after its write says 500 as well. */
export function classOf(answer: Refused): RefusalClass | null {
  const { status, reason, message } = answer;
  if (status === 429) return "rate_limit";
  if (status === 401) return "auth";
  // Only the text tells a ResourceQuota from a missing permission.
  if (status === 403) return message.includes("exceeded quota") ? "quota" : "auth";
  if (status >= 500) return null;
  if (status === 409) return reason === "Conflict" ? "rate_limit" : null;
  return "bad_request";
}

export function refused(cls: RefusalClass, message: string, retryAfterMs: Millis | null = null) {
  return { kind: "refused" as const, class: cls, message, retryAfterMs };
}

/** What a write that was not accepted proves. */
export function answerOrder(answer: Refused | Lost) {
  if (answer.kind === "lost") return { kind: "ambiguous" as const, message: answer.message };
  const cls = classOf(answer);
  const { message, retryAfterMs } = answer;
  if (cls === null) return { kind: "ambiguous" as const, message };
  return refused(cls, message, retryAfterMs === null ? null : waitMs(retryAfterMs));
}

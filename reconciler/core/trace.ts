/**
 * Trace ids, in the form of W3C Trace Context. A repair's id follows from its session, so each
 * replica, log line and answer names the same one, and a repeated export repeats the same spans.
 */
import { createHash } from "node:crypto";
import type { Node } from "../../schema/node.ts";
import type { Operation } from "../../schema/operation.ts";
import type { Change } from "./store.ts";

/** One finished piece of work. Instants are wall milliseconds. */
export type Span = {
  /** 32 hex digits. */
  traceId: string;
  /** 16 hex digits. */
  spanId: string;
  /** `null` = the root of its trace. */
  parentId: string | null;
  name: string;
  startAt: number;
  endAt: number;
  /** Why it failed; `null` = it did not. */
  failure: string | null;
  attributes: Readonly<Record<string, string | number>>;
};

const digest = (text: string, digits: number): string =>
  createHash("sha256").update(`navarch ${text}`).digest("hex").slice(0, digits);

/** The trace of a repair, by the id of its session. */
export const traceIdOf = (session: string): string => digest(`session ${session}`, 32);

/** The trace of a call whose caller names none, by its id here. */
export const callTraceOf = (id: string): string => digest(`call ${id}`, 32);

/** A call of the API, below what its caller did. */
export function spanOfCall(call: {
  traceId: string;
  parentId: string | null;
  name: string;
  startAt: number;
  endAt: number;
  status: number;
  who: string;
}): Span {
  const { traceId, parentId, name, startAt, endAt, status, who } = call;
  return {
    ...{ traceId, parentId, name, startAt, endAt },
    spanId: spanIdOf(`call ${traceId} ${parentId ?? ""} ${name} ${startAt}`),
    failure: status < 500 ? null : `status ${status}`,
    attributes: { "http.response.status_code": status, "enduser.id": who },
  };
}

const ROOT = "repair";
const spanIdOf = (what: string): string => digest(`span ${what}`, 16);

/** `00-<trace id>-<span id>-<flags>`; `null` for another text. All zeros is invalid. */
export function readTraceparent(text: string | null): { traceId: string; spanId: string } | null {
  const found = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?$/.exec(text ?? "");
  const [, traceId = "", spanId = ""] = found ?? [];
  const isValid = /[1-9a-f]/.test(traceId) && /[1-9a-f]/.test(spanId) && !text?.startsWith("ff");
  return isValid ? { traceId, spanId } : null;
}

/** What a committed change finished: operations of a repair, and the repair itself. */
export function spansOf({ operations, nodes, events }: Change): Span[] {
  const ended = new Set(events.flatMap(({ session }) => (session === null ? [] : [session])));
  const repairs = nodes.flatMap((node) => repairOf(node, ended) ?? []);
  return [...operations.flatMap((operation) => spanOf(operation) ?? []), ...repairs];
}

function spanOf(operation: Operation): Span | null {
  const { id, session, closedAt, payload, state, askedAt, message } = operation;
  if (session === null || closedAt === null) return null;
  const { node, pool, attempts } = operation;
  return {
    traceId: traceIdOf(session),
    spanId: spanIdOf(`operation ${id}`),
    parentId: spanIdOf(`${ROOT} ${session}`),
    name: payload.kind,
    startAt: operation.firstAskedAt ?? askedAt,
    endAt: closedAt,
    failure: state === "refused" ? (message ?? "refused") : null,
    attributes: {
      "navarch.node": node,
      "navarch.session": session,
      "navarch.operation": id,
      "navarch.state": state,
      "navarch.attempts": attempts,
      ...(pool === null ? {} : { "navarch.pool": pool }),
    },
  };
}

/** A session that the change closed: an event of it tells that in the same change. */
function repairOf(node: Node, told: ReadonlySet<string>): Span | null {
  const { id, pool, session, lastSession } = node;
  if (session !== null || lastSession === null || !told.has(lastSession.id)) return null;
  return {
    traceId: traceIdOf(lastSession.id),
    spanId: spanIdOf(`${ROOT} ${lastSession.id}`),
    parentId: null,
    name: ROOT,
    startAt: lastSession.openedAt,
    endAt: lastSession.closedAt,
    failure: null,
    attributes: {
      "navarch.node": id,
      "navarch.session": lastSession.id,
      "navarch.outcome": lastSession.how,
      ...(pool === null ? {} : { "navarch.pool": pool }),
    },
  };
}

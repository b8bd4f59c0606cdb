/**
 * Holds the store against the clouds' journals: every effect has its intent (I1) and one row in the
 * audit (I14), every live instance is known (I3), a surge never throws capacity away (I4), and
 * strangers are untouched (I13). Pure: rows and entries in, violations out.
 */
import type { CloudJudge, Effect, Violation } from "./judge.ts";
import type { Books, EventRow, NodeDoc, OperationDoc } from "./ledger.ts";

export const operationIdOf = (effect: Effect): string =>
  `${effect.nodeId}.${effect.fence}.${effect.kind}`;

/** I1: the row was committed before the call, and says the same as the call. */
export function judgeEffects(
  effects: readonly Effect[],
  rows: readonly OperationDoc[],
): Violation[] {
  const byId = new Map(rows.map((row) => [row.id, row]));
  return effects.flatMap((effect) => {
    const id = operationIdOf(effect);
    const difference = differenceOf(effect, byId.get(id));
    if (difference === null) return [];
    const { cloud, atMs, nodeId: node } = effect;
    const rule = "I1 committed intent" as const;
    return [{ rule, cloud, atMs, node, what: `${id}: ${difference}` }];
  });
}

function differenceOf(effect: Effect, row: OperationDoc | undefined): string | null {
  if (row === undefined) return `the cloud took a ${effect.kind} that no row intended`;
  const { payload } = row;
  if (row.node !== effect.nodeId || row.fence !== effect.fence || payload.kind !== effect.kind)
    return "the row is about something else";
  if (effect.kind === "terminate")
    return payload.instanceId === effect.instanceId
      ? null
      : `ended ${effect.instanceId}, the row says ${payload.instanceId}`;
  if (payload.request?.token !== effect.token)
    return `asked with token ${effect.token}, the row says ${payload.request?.token}`;
  if (effect.request !== null && !Bun.deepEquals(effect.request, payload.request))
    return "what was sent is not what was intended";
  return null;
}

export type End = {
  judges: readonly CloudJudge[];
  books: Books;
  /** Nodes that each pool shall have. */
  size: number;
  /** Foreign instances that were planted, by cloud. */
  foreign: ReadonlyMap<string, readonly string[]>;
  atMs: number;
};

/** Why the fleet is not at rest yet; empty when it is. */
export function unrestOf({ judges, books, size }: End): string[] {
  const out: string[] = [];
  const open = books.operations.filter((row) => row.state === "asked");
  out.push(...open.map((row) => `operation ${row.id} is open: ${row.message ?? ""}`));
  if (books.inbox > 0) out.push(`${books.inbox} letters are not folded`);
  for (const judge of judges) {
    const { name } = judge.setting;
    const nodes = books.nodes.filter((node) => node.pool === name && node.phase.kind !== "gone");
    out.push(...nodes.filter(isRestless).map((node) => `${node.id} is ${node.phase.kind}`));
    if (nodes.length !== size) out.push(`pool ${name} has ${nodes.length} nodes, not ${size}`);
    const live = judge.own().length;
    if (live !== size) out.push(`cloud ${name} has ${live} own instances, not ${size}`);
    if (judge.pending() > 0) out.push(`cloud ${name} has asks that did not land`);
  }
  return out;
}

function isRestless({ phase, cordon, session, order }: NodeDoc): boolean {
  const marked = cordon.product !== null || cordon.human !== null;
  return phase.kind !== "serving" || marked || session !== null || order !== null;
}

/** Everything that must hold once faults stopped and the fleet had its time. */
export function judgeEnd(end: End): Violation[] {
  const say = (rule: Violation["rule"], node: string | null, what: string): Violation => {
    return { rule, cloud: null, atMs: end.atMs, node, what };
  };
  return [
    ...unrestOf(end).map((what) => say("liveness", null, what)),
    ...end.judges.flatMap((judge) => judgeKnown(judge, end)),
    ...end.judges.flatMap((judge) => judgeForeign(judge, end)),
    ...judgeTerminates(end).map(({ node, what }) => say("I13 hands off", node, what)),
    ...judgeAudit(end.books).map(({ node, what }) => say("I14 audit", node, what)),
    ...end.judges.flatMap((judge) =>
      judge.setting.surge ? judgeSurge(judge.setting.name, end.books) : [],
    ),
  ];
}

/** I3. */
function judgeKnown(judge: CloudJudge, { books, atMs }: End): Violation[] {
  const known = new Set(
    books.nodes.flatMap((node) =>
      node.phase.kind === "gone" || node.instance === null ? [] : [node.instance.id],
    ),
  );
  return judge
    .own()
    .filter(({ id }) => !known.has(id))
    .map(({ id, nodeId, planted }) => {
      const what = `${planted ? "a planted" : "an"} own instance lives unknown: ${id}`;
      const cloud = judge.setting.name;
      return { rule: "I3 nothing unknown" as const, cloud, atMs, node: nodeId, what };
    });
}

function judgeForeign(judge: CloudJudge, { foreign, atMs }: End): Violation[] {
  const cloud = judge.setting.name;
  const live = new Set(judge.foreign().map(({ id }) => id));
  return (foreign.get(cloud) ?? [])
    .filter((id) => !live.has(id))
    .map((id) => {
      const what = `foreign instance ${id} is gone`;
      return { rule: "I13 hands off" as const, cloud, atMs, node: null, what };
    });
}

type Found = { node: string; what: string };

/** Also an end that the cloud answered with "not found" was aimed at something. */
function judgeTerminates({ foreign, books }: End): Found[] {
  const strangers = new Set([...foreign.values()].flat());
  return books.operations.flatMap(({ id, node, payload }) =>
    payload.instanceId !== undefined && strangers.has(payload.instanceId)
      ? [{ node, what: `${id} meant the foreign ${payload.instanceId}` }]
      : [],
  );
}

/** I14: one audit row an effect and one a refusal, and no hole in the chain. */
function judgeAudit({ operations, events }: Books): Found[] {
  const told = tally(events, ({ kind, node, message }) => {
    if (node === null) return null;
    if (kind === "node.booting") return `${node} create`;
    if (kind === "provider.error") return `${node} refusal`;
    const ended = /accepted the end of instance (\S+)/.exec(message)?.[1];
    return kind === "node.terminating" && ended !== undefined ? `${node} end of ${ended}` : null;
  });
  const done = tally(operations, ({ node, state, payload }) => {
    if (state === "refused") return `${node} refusal`;
    if (state !== "done") return null;
    if (payload.kind === "create") return `${node} create`;
    return payload.kind === "terminate" ? `${node} end of ${payload.instanceId}` : null;
  });
  const out: Found[] = [];
  for (const key of new Set([...told.keys(), ...done.keys()])) {
    const [rows, audits] = [done.get(key) ?? 0, told.get(key) ?? 0];
    const node = key.slice(0, key.indexOf(" "));
    if (rows !== audits) out.push({ node, what: `${key}: ${rows} done, ${audits} in the audit` });
  }
  const [first, last] = [events[0]?.id ?? 1, events.at(-1)?.id ?? 0];
  if (last - first + 1 !== events.length)
    out.push({ node: "-", what: `events ${first}…${last} are only ${events.length}` });
  return out;
}

function tally<T>(list: readonly T[], keyOf: (one: T) => string | null): Map<string, number> {
  const counts = new Map<string, number>();
  for (const one of list) {
    const key = keyOf(one);
    if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/** I4: under surge a node that is replaced ends only after a successor of its slot was verified. */
function judgeSurge(pool: string, { operations, events, nodes }: Books): Violation[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const ordered = new Set(of(events, "command.issued").map((event) => event.node));
  const verified = of(events, "node.verified");
  return operations.flatMap((row) => {
    const node = byId.get(row.node);
    const replaces = row.payload.kind === "terminate" && row.because[0] === "replace";
    if (!replaces || node?.pool !== pool || ordered.has(row.node)) return [];
    const successor = verified.some(({ node: id, at }) => {
      const other = byId.get(id ?? "");
      const sameSlot = other?.pool === pool && other.slot === node.slot;
      return sameSlot && other.gen > node.gen && at <= row.askedAt;
    });
    if (successor) return [];
    const what = `${row.id} ended ${row.payload.instanceId} before a successor was verified`;
    const rule = "I4 no capacity thrown away" as const;
    return [{ rule, cloud: pool, atMs: row.askedAt, node: row.node, what }];
  });
}

const of = (events: readonly EventRow[], kind: string): EventRow[] =>
  events.filter((event) => event.kind === kind);

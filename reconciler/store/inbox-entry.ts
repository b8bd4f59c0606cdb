/** Parses stored inbox entries. An unreadable finding does not invalidate the rest of its entry. */
import * as v from "valibot";
import { Gap, SpooledFinding } from "../../schema/finding.ts";
import { NodeId, StreamId } from "../../schema/id.ts";
import { Origin } from "../../schema/node.ts";
import { AgentNotice, Check, CommandResult, Inventory } from "../../schema/report.ts";
import { readDoc, readJson } from "./document.ts";
import type { InboxEntry } from "../core/store.ts";

/** Every key of an entry, optional ones too: a key that is missing here is lost over a restart. */
const Whole = v.object({
  node: NodeId,
  bootId: v.string(),
  stream: StreamId,
  agentVersion: v.string(),
  simulated: v.boolean(),
  inventory: v.nullable(Inventory),
  check: v.nullable(Check),
  findings: v.array(SpooledFinding),
  gaps: v.array(Gap),
  results: v.array(CommandResult),
  origin: v.exactOptional(Origin),
  notice: v.optional(AgentNotice),
} satisfies Record<keyof InboxEntry, v.GenericSchema>) satisfies v.GenericSchema<
  unknown,
  InboxEntry
>;

const Head = v.object({
  node: Whole.entries.node,
  bootId: Whole.entries.bootId,
  stream: Whole.entries.stream,
  agentVersion: Whole.entries.agentVersion,
  simulated: Whole.entries.simulated,
});

export type ReadEntry =
  | { kind: "whole"; entry: InboxEntry }
  | { kind: "part"; entry: InboxEntry; reason: string }
  | { kind: "none"; reason: string };

export function readEntry(doc: string): ReadEntry {
  const whole = readDoc(Whole, doc);
  if (whole.ok) return { kind: "whole", entry: whole.value };
  const { reason } = whole;
  const head = readDoc(Head, doc);
  const raw = readJson(doc);
  if (!head.ok || !raw.ok) return { kind: "none", reason };
  const body = raw.value as Record<string, unknown>;
  const origin = one(Origin, body["origin"]);
  const entry: InboxEntry = {
    ...head.value,
    inventory: one(Inventory, body["inventory"]),
    check: one(Check, body["check"]),
    findings: each(SpooledFinding, body["findings"]),
    gaps: each(Gap, body["gaps"]),
    results: each(CommandResult, body["results"]),
    notice: one(AgentNotice, body["notice"]) ?? undefined,
    ...(origin === null ? {} : { origin }),
  };
  return { kind: "part", entry, reason };
}

function one<S extends v.GenericSchema>(schema: S, raw: unknown): v.InferOutput<S> | null {
  const parsed = v.safeParse(schema, raw);
  return parsed.success ? parsed.output : null;
}

function each<S extends v.GenericSchema>(schema: S, raw: unknown): v.InferOutput<S>[] {
  if (!Array.isArray(raw)) return [];
  return raw.flatMap((item) => {
    const parsed = v.safeParse(schema, item);
    return parsed.success ? [parsed.output] : [];
  });
}

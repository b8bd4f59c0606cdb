/** `docs/events.md`: every kind of event, from the schema and from what logs and mirrors them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { eventOf } from "../../reconciler/kubernetes/cluster-event.ts";
import { wordsOf } from "../../reconciler/runtime/story.ts";
import { EVENT_KINDS, type EventDraft, type EventKind } from "../../schema/event.ts";
import type { Node } from "../../schema/node.ts";
import { MEANING } from "./event-meaning.ts";
import { code, formatHead, formatTable, readProse } from "./markdown.ts";

export function formatEvents(): string {
  const emitted = readEmitted();
  const rows = EVENT_KINDS.map((kind) => rowOf(kind, emitted.has(kind)));
  const head = formatHead("Events", "`schema/event.ts` and the control plane's log");
  const table = formatTable(["kind", "level", "Kubernetes", "meaning"], rows);
  return `${head}${readProse("events")}${table}${readProse("event-exceptions")}`.trimEnd() + "\n";
}

function rowOf(kind: EventKind, isEmitted: boolean): string[] {
  const draft: EventDraft = {
    at: 0,
    kind,
    node: null,
    pool: null,
    session: null,
    actor: "navarch",
    message: "",
    emptied: true,
  };
  const serving = { phase: { kind: "serving" } } as Node;
  const [level] = wordsOf(draft, serving) ?? ["–"];
  const reason = eventOf(draft)?.reason;
  const meaning = isEmitted ? MEANING[kind] : `${MEANING[kind]} *Reserved: not emitted yet.*`;
  return [code(kind), level, reason === undefined ? "–" : code(reason), meaning];
}

/** Files that name every kind without emitting one. */
const TABLES = /\/(story-line|event-text)\.ts$|\.test\.ts$/;

/** Kinds that some file of the control plane names as what it emits. */
function readEmitted(): ReadonlySet<string> {
  const listed = Bun.spawnSync(["git", "ls-files", "reconciler/*.ts"], { cwd: ROOT });
  const files = listed.stdout.toString().split("\n");
  const texts = files
    .filter((path) => path !== "" && !TABLES.test(path))
    .map((path) => readFileSync(join(ROOT, path), "utf8"));
  return new Set(EVENT_KINDS.filter((kind) => texts.some((text) => text.includes(`"${kind}"`))));
}

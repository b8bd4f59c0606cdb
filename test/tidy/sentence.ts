/**
 * What decides says nothing: causes are codes, and `core/say` has their sentences.
 * Found is a text of several words in a room that decides, unless it is thrown.
 */
import { Visitor } from "oxc-parser";
import { isTest, lineAt } from "./source.ts";
import type { Source, Violation } from "./source.ts";

const ROOMS = /^reconciler\/core\/(?:decide|fold|safety)\//;
/** Two words of which the second begins small, as in prose; names and keys have no spaces. */
const PROSE = /[a-z],? [a-z]/;

/** Sentences that are not codes yet, by file: a count only ever falls. */
export const SPEAKERS: Readonly<Record<string, number>> = {
  "reconciler/core/decide/desired-state.ts": 5,
  "reconciler/core/decide/saved-activation.ts": 1,
  "reconciler/core/fold/adopt-fleet.ts": 8,
  "reconciler/core/fold/cluster.ts": 10,
  "reconciler/core/fold/command.ts": 16,
  "reconciler/core/fold/config.ts": 8,
  "reconciler/core/fold/everything.ts": 5,
  "reconciler/core/fold/forget.ts": 8,
  "reconciler/core/fold/former-boot.ts": 2,
  "reconciler/core/fold/inbox-entry.ts": 13,
  "reconciler/core/fold/kube.ts": 10,
  "reconciler/core/fold/leaving.ts": 2,
  "reconciler/core/fold/listing.ts": 3,
  "reconciler/core/fold/presence.ts": 2,
  "reconciler/core/fold/rejudge.ts": 3,
  "reconciler/core/fold/slurm.ts": 28,
  "reconciler/core/fold/trouble.ts": 1,
  "reconciler/core/fold/uncordon.ts": 10,
  "reconciler/core/fold/unreadable.ts": 11,
  "reconciler/core/fold/unready.ts": 2,
  "reconciler/core/fold/worker.ts": 1,
  "reconciler/core/safety/guard.ts": 1,
};

/** Files that have another number of them than they may. */
export function judgeSentences(
  source: Source,
  speakers: Readonly<Record<string, number>>,
): Violation[] {
  const found = sentencesIn(source);
  const { path } = source;
  const most = Object.hasOwn(speakers, path) ? (speakers[path] ?? 0) : 0;
  if (found.length === most) return [];
  if (found.length > most) return found;
  const what = `${found.length} sentences and not ${most}: lower its number`;
  return [{ path, line: 1, rule: "sentence", what }];
}

function sentencesIn({ path, text, parsed }: Source): Violation[] {
  if (!ROOMS.test(path) || isTest(path)) return [];
  const found: Violation[] = [];
  const thrown: [number, number][] = [];
  const add = (start: number, end: number, words: string): void => {
    if (!PROSE.test(words) || thrown.some(([from, to]) => start >= from && end <= to)) return;
    const what = "a sentence outside core/say: use a code";
    found.push({ path, line: lineAt(text, start), rule: "sentence", what });
  };
  new Visitor({
    ThrowStatement: ({ start, end }) => void thrown.push([start, end]),
    Literal({ value, start, end }) {
      if (typeof value === "string") add(start, end, value);
    },
    TemplateLiteral({ quasis, start, end }) {
      // A value between two words is a word as well.
      add(start, end, quasis.map(({ value }) => value.cooked).join("x"));
    },
  }).visit(parsed.program);
  return found;
}

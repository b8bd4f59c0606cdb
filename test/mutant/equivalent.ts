/**
 * Generated mutants that change nothing that anybody could observe, each with the reason. `key` is
 * what `--report` prints below a survivor: file, line and change, so an entry outlives edits around
 * it and dies with the line that it speaks of.
 */
export type Equivalent = { key: string; reason: string };

const SCOPE = "reconciler/core/safety/scope.ts";
const BREAKER = "reconciler/core/safety/breaker.ts";
const CACHED = "what is read again is the same: only work is saved";
const EMPTY = "without it the loops below run over nothing, to the same answer";

/** Every other change of when a list is cut leaves what the spool holds, and its memory bounded. */
const CUT =
  "agent/spool/spool-index.ts | const isMostlyGone = (first: number, length: number) => " +
  "first > 1_024 && first * 2 > length; | ";
const CUTS = [
  ...["first > 1_024 && first * 2 > length → (first > 1_024) || (first * 2 > length)"],
  ...["first > 1_024 && first * 2 > length → true", "first > 1_024 → first >= 1_024"],
  ...["first > 1_024 → true", "1_024 → 0", "1_024 → 10240", "1_024 → 1.024"],
  ...["first * 2 > length → first * 2 >= length", "first * 2 > length → true", "2 → 3"],
];

const BUFFER =
  "agent/spool/spool-storage.ts | const held = segments.get(segment) ?? " +
  "{ bytes: new Uint8Array(4_096), length: 0 }; | ";
const GROWN =
  "agent/spool/spool-storage.ts | const grown = new Uint8Array(" +
  "Math.max(length, held.bytes.length * 2)); | ";

/** Those of the agent. */
const AGENT: readonly Equivalent[] = [
  ...CUTS.map((change) => ({
    key: `${CUT}${change}`,
    reason: "what lies before the first row is never read: when it is cut off, only work changes",
  })),
  ...["4_096 → 0", "4_096 → 40960", "4_096 → 4.096"].map((change) => ({
    key: `${BUFFER}${change}`,
    reason: "a buffer that is too short grows to what is needed",
  })),
  ...["held.bytes.length * 2 → held.bytes.length / 2", "2 → 0", "2 → 3"].map((change) => ({
    key: `${GROWN}${change}`,
    reason: "it grows to what is needed at least: how much more only saves copying",
  })),
  {
    key:
      "agent/spool/spool-segment.ts | const started = this.#append(formatLine(head()), false); | " +
      "false → true",
    reason: "it is written to memory, which outlives no power cut either way",
  },
  {
    key:
      "agent/spool/spool-segment.ts | " +
      "const written = line ? this.#append(line, false) : started; | " +
      "false → true",
    reason: "it is written to memory, which outlives no power cut either way",
  },
  {
    key:
      "agent/probe/finding.ts | past !== null && rank(past.severity) > " +
      "rank(condition.severity) | rank(past.severity) > rank(condition.severity) → " +
      "rank(past.severity) >= rank(condition.severity)",
    reason: "severities of one rank are one word",
  },
  {
    key:
      "agent/kernel/parse.ts | const raw = text.slice(separator + 1, " +
      "end < 0 ? undefined : end); | end < 0 → end <= 0",
    reason: "the line end is looked for behind the separator, so it is never at 0",
  },
];

export const EQUIVALENT: readonly Equivalent[] = [
  ...AGENT,
  {
    key: `${SCOPE} | if (known !== undefined) return known; | known !== undefined → false`,
    reason: CACHED,
  },
  {
    key: `${SCOPE} | DOMAINS.set(node, domains); | DOMAINS.set(node, domains) → void 0`,
    reason: CACHED,
  },
  {
    key: `${SCOPE} | SCOPES.set(node, scopes); | SCOPES.set(node, scopes) → void 0`,
    reason: CACHED,
  },
  {
    key: `${BREAKER} | if (scopes.length === 0) return step; | scopes.length === 0 → false`,
    reason: EMPTY,
  },
  {
    key: `${BREAKER} | if (arrivals.size === 0) return []; | arrivals.size === 0 → false`,
    reason: EMPTY,
  },
  {
    key:
      'agent/kernel/parse.ts | if (!text.includes("\\\\x")) return text; | ' +
      '!text.includes("\\\\x") → false',
    reason: "A text without the mark holds nothing that the replacement below would find.",
  },
  {
    key:
      "agent/spool/spool-line.ts | const line = newline < 0 ? null : " +
      "parseLine(bytes.subarray(at, end), at); | newline < 0 → newline <= 0",
    reason: "A newline at 0 ends an empty line, which parseLine() refuses as too short.",
  },
  {
    key:
      "reconciler/core/fold/leaving.ts | if (leaving.length === 0) return; | " +
      "leaving.length === 0 → false",
    reason: EMPTY,
  },
  {
    key:
      "reconciler/core/fold/unreadable.ts | if (snapshot.unreadable.length === 0) " +
      "return { snapshot, change }; | snapshot.unreadable.length === 0 → false",
    reason: EMPTY,
  },
  {
    key:
      "reconciler/core/fold/unreadable.ts | " +
      "if (Array.isArray(parent)) return false; | false → true",
    reason: "nothing was emptied, so each round finds the same place until the rounds are over",
  },
  {
    key:
      "reconciler/core/fold/inbox-entry.ts | " +
      "const count = refused > known ? refused - known : refused; | " +
      "refused > known → refused >= known",
    reason: "equal counts have returned two lines above",
  },
  {
    key: "reconciler/core/decide/decide.ts | desired: 0, | 0 → 1",
    reason: "without a pool there is no budget, no victim and nothing to buy: no size is read",
  },
  {
    key:
      "reconciler/core/decide/decide.ts | proof || (a.session?.openedAt ?? 0) - " +
      "(b.session?.openedAt ?? 0) || (a.id < b.id ? -1 : 1) | 1 → 2",
    reason: "of what a comparison returns only the sign counts",
  },
  {
    key:
      "reconciler/core/decide/arrive.ts | " +
      "const notBefore = node.bootstrap?.notBefore ?? 0; | 0 → 1",
    reason: "one millisecond after 1970 is as long past as 1970",
  },
  {
    key:
      "reconciler/core/decide/pool.ts | if (best === null || node.gen > best.gen) best = node; | " +
      "node.gen > best.gen → node.gen >= best.gen",
    reason: "no two nodes of a pool have the same generation",
  },
  {
    key: "reconciler/server/backup.ts | } finally { | { client.close(); } → {}",
    reason: "the driver closes the file once the client is garbage, whether it was closed or not",
  },
  {
    key: "reconciler/server/leadership.ts | void before.stop(0); | 0 → 1",
    reason: "a standby has no calls of its own that its stop would give time",
  },
  {
    key:
      "reconciler/core/safety/poisson.ts | for (let k = n + 1; k < n + TERMS_MAX && " +
      "term > sum * 1e-16; k++) { | 1e-16 → 0",
    reason: "smaller terms are lost in the rounding of the sum: only work is saved",
  },
];

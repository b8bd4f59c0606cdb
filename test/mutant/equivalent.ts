/**
 * Generated mutants that change nothing that anybody could observe, each with the reason. `key` is
 * what `--report` prints below a survivor: file, line and change, so an entry outlives edits around
 * it and dies with the line that it speaks of.
 */
export type Equivalent = { key: string; reason: string };

const SCOPE = "reconciler/safety/scope.ts";
const BREAKER = "reconciler/safety/breaker.ts";
const CACHED = "what is read again is the same: only work is saved";
const EMPTY = "without it the loops below run over nothing, to the same answer";

export const EQUIVALENT: readonly Equivalent[] = [
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
      "agent/spool-line.ts | const line = newline < 0 ? null : " +
      "parseLine(bytes.subarray(at, end), at); | newline < 0 → newline <= 0",
    reason: "A newline at 0 ends an empty line, which parseLine() refuses as too short.",
  },
  {
    key:
      "reconciler/fold/leaving.ts | if (leaving.length === 0) return; | " +
      "leaving.length === 0 → false",
    reason: EMPTY,
  },
  {
    key:
      "reconciler/fold/unreadable.ts | if (snapshot.unreadable.length === 0) " +
      "return { snapshot, change }; | snapshot.unreadable.length === 0 → false",
    reason: EMPTY,
  },
  {
    key:
      "reconciler/fold/unreadable.ts | if (Array.isArray(parent)) return false; | false → true",
    reason: "nothing was emptied, so each round finds the same place until the rounds are over",
  },
  {
    key:
      "reconciler/fold/letter.ts | const count = refused > known ? refused - known : refused; | " +
      "refused > known → refused >= known",
    reason: "equal counts have returned two lines above",
  },
  {
    key:
      "reconciler/decide/decide.ts | const desired = pool === null ? 0 : " +
      "desiredOf(pool, fleet.pools.get(pool.name)); | 0 → 1",
    reason: "without a pool there is no budget, no victim and nothing to buy: no size is read",
  },
];

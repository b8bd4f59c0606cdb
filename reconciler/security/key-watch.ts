/**
 * Checks whether the private keys for set-ups can be used. An unreadable key is the operator's
 * problem and no machine's fault, so it is detected before a machine is bought or an attempt is
 * used up. A key is checked only while callers ask for it, and a result expires within seconds: a
 * process that slept for an hour does not act on an old one.
 */
import type { Clock } from "../core/clock.ts";

/** Interval of checks: a person who fixes a key sees the result soon. */
const LOOK_MS = 2_000;
/** How long a result is valid: several intervals, because one check may be slow. */
const FRESH_MS = 15_000;
/** After this long without an answer, the file system is reported as the problem. */
const HUNG_MS = 30_000;

type Looked = {
  /** Instants of the monotonic clock; `begunAt` `null` = no check is running. */
  begunAt: number | null;
  endedAt: number | null;
  problem: string | null;
};

export class KeyWatch {
  readonly #check: (path: string) => Promise<string | null>;
  readonly #clock: Pick<Clock, "monoMs">;
  readonly #looked = new Map<string, Looked>();

  /** `check` returns why the key cannot be used, as a sentence that names it, or `null`. */
  constructor(check: (path: string) => Promise<string | null>, clock: Pick<Clock, "monoMs">) {
    this.#check = check;
    this.#clock = clock;
  }

  /** Why the key cannot be used, `null` if it can be, `undefined` while unknown. */
  problem(path: string): string | null | undefined {
    const mono = this.#clock.monoMs();
    const known = this.#looked.get(path) ?? { begunAt: null, endedAt: null, problem: null };
    this.#looked.set(path, known);
    const { begunAt, endedAt } = known;
    if (begunAt !== null && mono - begunAt >= HUNG_MS) {
      return `${path} cannot be read: no answer for ${HUNG_MS / 1_000} s`;
    }
    const isDue = endedAt === null || mono - endedAt >= LOOK_MS;
    if (begunAt === null && isDue) void this.#look(path, known);
    return endedAt === null || mono - endedAt > FRESH_MS ? undefined : known.problem;
  }

  async #look(path: string, known: Looked): Promise<void> {
    known.begunAt = this.#clock.monoMs();
    try {
      known.problem = await this.#check(path);
    } catch (error) {
      known.problem = `${path} cannot be read: ${error instanceof Error ? error.message : error}`;
    }
    known.begunAt = null;
    known.endedAt = this.#clock.monoMs();
  }
}

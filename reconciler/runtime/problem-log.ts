/**
 * Logs problems that recur each round, such as a cloud that cannot be listed: at once when one is
 * new, and again after half an hour while it lasts. A problem is known by its fields, because its
 * message may hold a request id. Pure except for its memory.
 */
import type { Clock, Log } from "../core/clock.ts";

export type Problem = { message: string; fields: Record<string, unknown> };

const AGAIN_MS = 30 * 60_000;
/** Providers and rules are far fewer. A problem above the limit takes the oldest one's place. */
const KNOWN_MAX = 1_000;

export class ProblemLog {
  private readonly log: Log;
  private readonly clock: Pick<Clock, "monoMs">;
  /** By fields: when it was logged last, and how often it recurred since. */
  private readonly known = new Map<string, { atMono: number; repeats: number }>();

  constructor(log: Log, clock: Pick<Clock, "monoMs">) {
    this.log = log;
    this.clock = clock;
  }

  say(problems: readonly Problem[]): void {
    const mono = this.clock.monoMs();
    for (const { message, fields } of problems) {
      const key = JSON.stringify(fields);
      const last = this.known.get(key);
      if (last !== undefined && mono - last.atMono < AGAIN_MS) {
        last.repeats += 1;
        continue;
      }
      this.log("warn", message, last ? { ...fields, repeats: last.repeats } : fields);
      this.known.delete(key);
      const [oldest] = this.known.keys();
      if (this.known.size >= KNOWN_MAX && oldest !== undefined) this.known.delete(oldest);
      this.known.set(key, { atMono: mono, repeats: 0 });
    }
  }
}

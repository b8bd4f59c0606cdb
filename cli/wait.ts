/**
 * `--wait`: polls until the goal is reached, is out of reach, or the time is up.
 */
import { EXIT, type Failure } from "./failure.ts";
import type { World } from "./world.ts";

export type Look = "reached" | "lost" | "open";

const EVERY_MS = 1_000;

/** `late` after `waitMs`. An unreachable server is polled again: it may be restarting. */
export async function waitFor(
  world: World,
  waitMs: number,
  look: () => Promise<Look | Failure>,
): Promise<"reached" | "lost" | "late" | Failure> {
  const untilMs = world.monoMs() + waitMs;
  for (;;) {
    const seen = await look();
    if (typeof seen !== "string" && seen.exit !== EXIT.unreachable) return seen;
    if (seen === "reached" || seen === "lost") return seen;
    const leftMs = untilMs - world.monoMs();
    if (leftMs <= 0) return typeof seen === "string" ? "late" : seen;
    await world.sleep(Math.min(EVERY_MS, leftMs));
  }
}

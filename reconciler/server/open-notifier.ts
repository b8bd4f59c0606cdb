/** Makes the configured notifier ready: names of the environment are filled in once, at start. */
import type { NotifierConfig } from "../../schema/config.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { Store } from "../core/store.ts";
import { Notifier } from "../runtime/act/deliver.ts";
import { fillNotifier } from "./fill-notifier.ts";

/** `null` when nothing is to be sent; throws an `Error` for people if something is not set. */
export function openNotifier(
  notifier: NotifierConfig,
  from: { store: Store; clock: Clock; log: Log; env: Record<string, string | undefined> },
): Notifier | null {
  if (notifier.type === "noop") return null;
  const { env, ...ports } = from;
  const filled = fillNotifier(notifier, env);
  if (filled.ok) return new Notifier({ ...ports, config: filled.config, secret: filled.secret });
  throw new Error(`server.notifier: ${filled.problems[0]?.message ?? "not usable"}`);
}

/** The check of `doctor` whether the configuration on disk is in force. Pure. */
import type { ConfigStatusView } from "../schema/api-config.ts";
import { bad, type Diagnosis, ok } from "./diagnosis-row.ts";

const FIX = "fix the file: it is loaded within seconds (navarch config validate FILE)";
const PERMIT = "add what is missing, or permit it: navarch config reload --allow-pool-removal";

export function judgeConfig(view: ConfigStatusView): Diagnosis[] {
  const { last, hash, orphaned } = view;
  const found = orphaned.map(({ message }) =>
    bad("warn", "configuration", `${message}, is not in it: not repaired, and billed`, PERMIT),
  );
  const [first] = last?.problems ?? [];
  const more = (last?.problems.length ?? 0) - 1;
  const others = more > 0 ? ` (and ${more} more)` : "";
  if (first !== undefined) {
    const advice = last?.outcome === "refused" ? PERMIT : FIX;
    const kept = `the files are not in force, ${hash} stays`;
    found.push(bad("fail", "configuration", `${kept}: ${first}${others}`, advice));
  } else if ((last?.restart ?? []).length > 0) {
    const keys = (last?.restart ?? []).join(", ");
    found.push(bad("warn", "configuration", `${keys} changed`, "restart the control plane"));
  }
  return found.length > 0 ? found : [ok("configuration", `${hash} is in force`)];
}

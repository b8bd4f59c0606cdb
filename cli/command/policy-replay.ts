/**
 * `navarch policy test F --replay SINCE`: compares what a policy and the active one would have done
 * with recorded findings.
 */
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import type { Context } from "../command.ts";
import { EXIT, failure, type Failure, usage } from "../failure.ts";
import { type Flag, switchFlag, textFlag } from "../flag.ts";
import { getSince } from "../lookup.ts";
import type { Record } from "../record.ts";
import { show } from "../show.ts";

/** Exit status of `--fail-if-more`. */
const MORE = 8;

export const REPLAY_FLAGS: readonly Flag[] = [
  textFlag("replay", "SINCE", "judge findings recorded since: 24h, 7d"),
  textFlag("replay-file", "F", "judge an exported record"),
  textFlag("against", "F", "compare with this policy (default: active)"),
  textFlag("export", "F", "also write the record to a file"),
  switchFlag("fail-if-more", "exit 8 if more nodes would be affected"),
];

type Source = {
  ok: true;
  record: Record;
  active: CompiledPolicy;
  quarantined: ReadonlySet<string>;
  /** End of the record: findings held last count until then. */
  nowMs: number;
};

export async function replay(
  context: Context,
  compiled: CompiledPolicy,
): Promise<number | Failure> {
  const source = await openSource(context);
  if (!source.ok) return source;
  const { exporting } = await import("../record.ts");
  const { Backtester, countTouched } = await import("../backtest.ts");
  const { Replay } = await import("../replay.ts");
  const { dataOf, formatBacktest } = await import("../backtest-view.ts");
  const { active: policy, quarantined } = source;
  const candidate = new Replay(compiled, quarantined);
  const active = new Replay(policy, quarantined);
  const tester = new Backtester(candidate, active);
  const path = context.flags.text("export");
  const record = path === null ? source.record : exporting(source.record, path);
  const failed = await record((row) => tester.take(row));
  if (failed !== null) return failed;
  const backtest = tester.end(source.nowMs);
  const tested = { backtest, candidate, active };
  await show(context, {
    data: dataOf(tested),
    names: backtest.touched.map((one) => one.node),
    human: (_wide, style) => formatBacktest(tested, style),
  });
  const [error] = candidate.errors;
  if (error !== undefined) {
    const message = `rule "${error[0]}" failed: ${error[1]}`;
    return failure(EXIT.failed, "policy_error", message);
  }
  const counts = countTouched(backtest);
  const isMore = counts.candidate > counts.active;
  return isMore && context.flags.on("fail-if-more") ? MORE : EXIT.done;
}

async function openSource(context: Context): Promise<Source | Failure> {
  const { flags } = context;
  const [since, file] = [flags.text("replay"), flags.text("replay-file")];
  if (since !== null && file !== null) return usage("pass --replay or --replay-file, not both");
  const { openActive, recordIn, recordOf } = await import("../record.ts");
  const against = await openAgainst(context);
  if (!against.ok) return against;
  const none: ReadonlySet<string> = new Set();
  if (file !== null) {
    const { compiledBuiltin } = await import("../../health/policy/builtin.ts");
    const active = against.policy ?? compiledBuiltin;
    const nowMs = context.world.wallMs();
    return { ok: true, record: recordIn(file), active, quarantined: none, nowMs };
  }
  const client = context.connect();
  if ("ok" in client) return client;
  const from = await getSince(client, "replay", since ?? "");
  if (!from.ok) return from;
  const record = recordOf(client, from.at);
  const { nowMs } = from;
  if (against.policy !== null) {
    return { ok: true, record, active: against.policy, quarantined: none, nowMs };
  }
  const active = await openActive(client);
  if (!active.ok) return active;
  const { policy, quarantined } = active;
  return { ok: true, record, active: policy, quarantined, nowMs };
}

async function openAgainst(
  context: Context,
): Promise<{ ok: true; policy: CompiledPolicy | null } | Failure> {
  const path = context.flags.text("against");
  if (path === null) return { ok: true, policy: null };
  const { openRules } = await import("../policy-file.ts");
  const { sayProblems } = await import("../problem-view.ts");
  const { compiled, problems } = await openRules(path);
  sayProblems(context, problems);
  if (compiled === null) return usage(`--against ${path}: not a valid policy`);
  return { ok: true, policy: compiled };
}

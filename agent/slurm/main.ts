/**
 * `slurm-healthcheck`, Slurm's HealthCheckProgram: judges the agent's last verdict from its file
 * and drains the node that slurmd names, unless it is out of service already. Always exits 0,
 * within a second: slurmd starts the next copy whether this one has ended or not.
 */
import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { parseFlags, formatFlags } from "../../schema/flag.ts";
import { LAST_VERDICT_FILE, LastVerdict } from "../../schema/last-verdict.ts";
import { logText } from "../../schema/terminal.ts";
import type { LocalJudgement } from "../../health/policy/last.ts";
import { openStateFiles, parseNote, readText } from "../spool/state-file.ts";
import { parseShown, runScontrol } from "./scontrol.ts";

/** From the start of the process, which takes some 50 ms of the second. */
const DEADLINE_MS = 850;
/** The agent touches its file every 20 s. */
const STALE_MS = 60_000;
/** One node: a host list here would drain a partition. */
const NODE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** Out of service, whoever did it, or on its way there. */
const OUT = /^(DRAIN|DOWN|FAIL|POWER|FUTURE|UNKNOWN)/;
/** In place of a session: the local agent. */
const SESSION = "navarch:node";

const HELP = "Slurm's HealthCheckProgram: drains $SLURMD_NODENAME by the agent's last verdict.";
const FLAGS = {
  spool: {
    kind: "text",
    value: "DIR",
    default: "/var/lib/navarch-node",
    help: "the agent's --spool",
  },
  help: { kind: "switch", short: "h", help: "print this help" },
} as const;

/** What was drained here before: a node that another party undrained is not drained again. */
const Drained = v.object({ boot_id: v.string(), name: v.string(), codes: v.array(v.string()) });
const DRAINED_FILE = "slurm-drained.json";

export async function runHealthcheck(argv: readonly string[]): Promise<void> {
  let said: string;
  try {
    said = await check(argv);
  } catch (cause) {
    said = `no verdict: ${String(cause)}`;
  }
  process.stdout.write(`${said}\n`);
  // A child that holds a pipe, or a timer, must not keep this process.
  process.exit(0);
}

async function check(argv: readonly string[]): Promise<string> {
  const parsed = parseFlags(FLAGS, argv, process.env);
  if (!parsed.ok) return `not checked: ${logText(parsed.message)}`;
  if (parsed.values.help) return `${HELP}\n\n${formatFlags(FLAGS)}`;
  const { spool } = parsed.values;
  const read = readLast(spool);
  if ("why" in read) return logText(`no verdict: ${read.why}`);
  // The policy is loaded only where an agent runs.
  const { judgeLast } = await import("../../health/policy/last.ts");
  const judged = judgeLast(read.last, Date.now());
  if (judged.kind === "unfit") return logText(await drain(judged.faults, read.last.boot_id, spool));
  rmSync(join(spool, DRAINED_FILE), { force: true });
  return `ok (${judged.by})`;
}

function readLast(spool: string): { last: LastVerdict } | { why: string } {
  const path = join(spool, LAST_VERDICT_FILE);
  let ageMs: number;
  let text: string;
  try {
    ageMs = Math.abs(Date.now() - statSync(path).mtimeMs);
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    return { why: `the agent has none in ${path} (${code}); is navarch-node running?` };
  }
  if (ageMs > STALE_MS) {
    const age = `${Math.round(ageMs / 1_000)} s ago, more than ${STALE_MS / 1_000} s`;
    return { why: `the agent touched ${path} ${age}; is navarch-node running?` };
  }
  const last = parseNote(LastVerdict, text);
  if (last === null) return { why: `${path} is of another version of the agent` };
  const bootId = readText("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
  if (!last.simulated && bootId !== "" && last.boot_id !== bootId) {
    return { why: `${path} is of an earlier boot` };
  }
  return { last };
}

type Faults = Extract<LocalJudgement, { kind: "unfit" }>["faults"];

async function drain(faults: Faults, bootId: string, spool: string): Promise<string> {
  const name = process.env["SLURMD_NODENAME"] ?? "";
  const files = openStateFiles(spool);
  const before = parseNote(Drained, files.load(DRAINED_FILE));
  const isSame = before?.boot_id === bootId && before.name === name;
  const known = isSame ? before.codes : [];
  const news = faults.find(({ code }) => !known.includes(code));
  const { code, text } = news ?? faults[0] ?? { code: "UNHEALTHY", text: "" };
  const fault = `${code} ${text}`.trim();
  if (!NODE_NAME.test(name)) {
    const found = name === "" ? "is not set" : `is ${JSON.stringify(name)}, not one node`;
    return `${fault}; not drained: SLURMD_NODENAME ${found}`;
  }
  const shown = await runScontrol(["-o", "show", "node", name], DEADLINE_MS);
  if (shown.kind === "failed") return `${fault}; ${name} not drained: ${shown.why}`;
  const node = parseShown(shown.output);
  if (node === null) return `${fault}; ${name} not drained: its state cannot be read`;
  const reason = node.reason === null ? "" : ` (${node.reason})`;
  if (node.state.some((word) => OUT.test(word))) {
    return `${fault}; ${name} is ${node.state.join("+")} already${reason}`;
  }
  if (news === undefined) {
    return `${fault}; ${name} was drained for it and undrained by another party: left as it is`;
  }
  const change = [`nodename=${name}`, "state=drain", `reason=${SESSION} ${fault}`];
  const changed = await runScontrol(["update", ...change], DEADLINE_MS);
  if (changed.kind === "failed") return `${fault}; ${name} not drained: ${changed.why}`;
  const codes = [...new Set([...known, ...faults.map((one) => one.code)])];
  files.save(DRAINED_FILE, JSON.stringify({ boot_id: bootId, name, codes }));
  return `${fault}; ${name} drained`;
}

/** Formats one check for a terminal of 80 columns: verdict, then findings, then gaps. Pure. */
import { counted } from "../report/check.ts";
import { faultKeyOf, formatRepeats, remember, repeatsOf } from "../../health/policy/history.ts";
import type { Finding } from "../../schema/finding.ts";
import type { OnceResult } from "./once.ts";

const COLUMNS = 80;
const LABEL = 15;

/** Text in lines of the terminal's width, the first behind `label`. */
function wrap(label: string, text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (longer.length <= COLUMNS - LABEL) {
      line = longer;
      continue;
    }
    if (line !== "") lines.push(line);
    line = word;
  }
  lines.push(line);
  return lines.map((one, at) => `${(at === 0 ? label : "").padEnd(LABEL)}${one}`);
}

/** Replaces characters that move the cursor or hide text. */
function plain(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ");
}

function gpuLine({ expected, gpus }: OnceResult): string {
  if (gpus.length === 0) return "none found";
  const driver = gpus[0]?.driver_version ?? "";
  const due = expected === null ? "" : `, ${expected.gpus} expected (${expected.from})`;
  return `${counted(gpus.map(({ name }) => name)).join(", ")}${due}, driver ${driver}`;
}

function portLine({ host }: OnceResult): string {
  const ports = host?.ports ?? null;
  if (ports === null) return "not read";
  if (ports.length === 0) return "no InfiniBand or RoCE adapter";
  const each = ports.map(({ layer, gigabits, state }) => {
    const rate = state === "ACTIVE" && gigabits !== null ? ` ${gigabits} Gb/s` : "";
    return `${layer ?? "unknown"} ${state?.toLowerCase() ?? "unknown"}${rate}`;
  });
  return counted(each).join(", ");
}

function fileSystemLine({ host }: OnceResult): string {
  const systems = host?.fileSystems ?? null;
  if (systems === null) return "not read";
  const each = systems.map(({ path, readOnly, usedRatio }) => {
    const used = usedRatio === null ? "not asked" : `${Math.floor(usedRatio * 100)} %`;
    return `${path} ${used}${readOnly ? " read-only" : ""}`;
  });
  return each.length === 0 ? "none on disks of this machine" : each.join(", ");
}

/** Each finding; of a fault that the log has several lines of, the newest and their number. */
function findingLines(findings: readonly Finding[]): string[] {
  const rule = "";
  const newest = new Map(findings.map((finding) => [faultKeyOf(finding), finding]));
  const coded = findings.filter((finding) => faultKeyOf(finding) !== null);
  const history = remember(
    [],
    coded.map((finding) => ({ finding, rule })),
  );
  return findings.flatMap((finding) => {
    const key = faultKeyOf(finding);
    if (key !== null && newest.get(key) !== finding) return [];
    const repeats = key === null ? null : repeatsOf(history, finding, rule);
    const often = repeats === null || repeats.lines === 1 ? "" : ` (${formatRepeats(repeats)})`;
    return wrap(finding.severity, `${plain(finding.message)}${often}`);
  });
}

export function formatSummary(result: OnceResult): string {
  const { findings, node_id, probes, simulated, verdict } = result;
  const lines = [
    ...wrap("node", `${node_id}: ${verdict}${simulated ? " (simulated GPUs)" : ""}`),
    ...wrap("GPUs", plain(gpuLine(result))),
    ...wrap("network ports", plain(portLine(result))),
    ...wrap("file systems", plain(fileSystemLine(result))),
  ];
  const own = findings.filter(({ foreign }) => foreign !== true);
  lines.push(...findingLines(own));
  if (own.length === 0) lines.push(...wrap("findings", "none"));
  const other = findings.length - own.length;
  if (other > 0) lines.push(...wrap("not judged", `${other} about devices of no GPU here`));
  const unread = probes.filter(({ outcome }) => !["ok", "finding"].includes(outcome));
  if (unread.length > 0) {
    lines.push(...wrap("not checked", unread.map(({ name }) => name).join(", ")));
  }
  return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
}

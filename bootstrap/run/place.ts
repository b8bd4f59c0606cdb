/**
 * Places the node's credential and the matching agent on a machine. Each file comes on standard
 * input, is written under a temporary name, checked, and renamed when complete.
 */
import { createHash } from "node:crypto";
import { type Answer, failed, good, refused, sentenceOf } from "./end.ts";
import type { AgentBinary, Compression, Job, JobFile, Ports } from "./job.ts";
import type { Sight } from "./look.ts";
import { collect, endOf, fencedLine, isStale, lastLineOf, type Machine } from "./machine.ts";
import type { AttemptRecord } from "./record.ts";
import { HAVE, PLACE, PUSH, SAME } from "./script.ts";

const PLACE_MS = 30_000;

/** The node's secret (root only), CA and release key (all), and the client certificate. */
export async function placeFiles(
  machine: Machine,
  job: Job,
  record: AttemptRecord,
  signal: AbortSignal,
): Promise<Answer<{ isChanged: boolean }>> {
  const { credential, ca, releaseKey, shown } = job;
  const files: File[] = [];
  if (credential !== null) files.push({ ...credential, what: "credential", mode: "600" });
  if (ca) files.push({ path: ca.path, value: ca.pem.trimEnd(), what: "CA", mode: "644" });
  if (releaseKey) {
    const { path, pem } = releaseKey;
    files.push({ path, value: pem.trimEnd(), what: "release key", mode: "644" });
  }
  if (shown) {
    const { certPath, cert, keyPath, key } = shown;
    files.push({ path: keyPath, value: key.trimEnd(), what: "certificate's key", mode: "600" });
    files.push({ path: certPath, value: cert.trimEnd(), what: "certificate", mode: "644" });
  }
  for (const file of files) {
    const stdin = Buffer.from(`${file.value}\n`);
    const placed = await placeFile(machine, { ...file, stdin }, record, signal);
    if (!placed.ok) return placed;
  }
  let isChanged = false;
  for (const file of job.files ?? []) {
    const placed = await placeDiffering(machine, file, record, signal);
    if (!placed.ok) return placed;
    isChanged ||= placed.value;
  }
  return good({ isChanged });
}

type File = { path: string; value: string; what: string; mode: "600" | "644" };

/** True if the machine did not have it. A run that ends before the commands finds it differing. */
async function placeDiffering(
  machine: Machine,
  { what, path, target, bytes }: JobFile,
  record: AttemptRecord,
  signal: AbortSignal,
): Promise<Answer<boolean>> {
  const sum = createHash("sha256").update(bytes).digest("hex");
  const line = fencedLine(machine, SAME, [target, sum]);
  const same = await collect(machine.shell, line, { timeoutMs: PLACE_MS, signal });
  if (same.answer.kind === "exited" && same.answer.code === 0) {
    const step = await record.begin("credential", `${what} ${target}`, "");
    await step.end({ exitCode: null, error: null, skipped: true });
    return good(false);
  }
  const placed = { what, path, mode: "600", stdin: Buffer.from(bytes) } as const;
  const answer = await placeFile(machine, placed, record, signal);
  return answer.ok ? good(true) : answer;
}

async function placeFile(
  machine: Machine,
  file: Pick<File, "path" | "what" | "mode"> & { stdin: Buffer },
  record: AttemptRecord,
  signal: AbortSignal,
): Promise<Answer<null>> {
  const what = `${file.what} ${file.path}`;
  const step = await record.begin("credential", what, "");
  const { stdin } = file;
  const line = fencedLine(machine, PLACE, [file.path, file.mode, String(stdin.length)]);
  const said = await collect(machine.shell, line, { timeoutMs: PLACE_MS, stdin, signal });
  const end = endOf(said.answer, what, {
    cause: "credential",
    timeoutMs: PLACE_MS,
    lastLine: lastLineOf(said),
    stale: isStale(machine, said.answer, said.stderr),
  });
  await step.end({ exitCode: null, error: end === null ? null : sentenceOf(end.end) });
  return end ?? good(null);
}

/** Decompressors by preference; the machine's first available one is used. */
const FORMS: readonly { compress: Compression; tool: string | null; reader: string[] }[] = [
  { compress: "zstd", tool: "zstd", reader: ["zstd", "-dcq"] },
  { compress: "gzip", tool: "gzip", reader: ["gzip", "-dc"] },
  { compress: "none", tool: null, reader: ["cat"] },
];

export async function pushAgent(
  machine: Machine,
  sight: Sight,
  job: Job,
  ports: Ports,
  record: AttemptRecord,
  signal: AbortSignal,
): Promise<Answer<null>> {
  const { pushTo } = job;
  if (pushTo === null) return good(null);
  const binary = job.agent[sight.arch];
  const what = `push agent (${sight.arch}) to ${pushTo}`;
  const step = await record.begin("push", what, "");
  const path = binary?.path ?? null;
  if (binary === null || path === null) {
    const error = `there is no agent for ${sight.arch} here to push`;
    await step.end({ exitCode: null, error });
    return refused("push", error);
  }
  const pushing = { machine, sight, ports, pushTo, path, binary, what };
  const answer = await push(pushing, job.timeouts.commandMs, signal);
  const error = answer.ok ? null : sentenceOf(answer.end);
  await step.end({ exitCode: null, error, skipped: answer.ok && answer.value === "had" });
  return answer.ok ? good(null) : answer;
}

type Pushing = {
  machine: Machine;
  sight: Sight;
  ports: Ports;
  pushTo: string;
  path: string;
  binary: AgentBinary;
  what: string;
};

async function push(
  { machine, sight, ports, pushTo, path, binary, what }: Pushing,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Answer<"had" | "sent">> {
  const haveLine = fencedLine(machine, HAVE, [pushTo, binary.sha256]);
  const have = await collect(machine.shell, haveLine, { timeoutMs, signal });
  if (have.answer.kind === "exited" && have.answer.code === 0) return good("had");
  const form = FORMS.find(({ tool }) => tool === null || sight.tools.has(tool));
  if (form === undefined) throw new Error("cat is always there");
  // If reading fails, the input ends early, and the machine refuses the incomplete file.
  let unreadable: string | null = null;
  const stdin = guard(ports.openBinary(path, form.compress), (message) => {
    unreadable = message;
  });
  const line = fencedLine(machine, PUSH, [pushTo, binary.sha256, ...form.reader]);
  const said = await collect(machine.shell, line, { timeoutMs, stdin, signal });
  if (unreadable !== null) return failed("push", `${what}: ${unreadable}`);
  const end = endOf(said.answer, what, {
    cause: "push",
    timeoutMs,
    lastLine: lastLineOf(said),
    stale: isStale(machine, said.answer, said.stderr),
  });
  return end ?? good("sent");
}

async function* guard(
  source: AsyncIterable<Uint8Array>,
  tell: (message: string) => void,
): AsyncIterable<Uint8Array> {
  try {
    yield* source;
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error));
  }
}

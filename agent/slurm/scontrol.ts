/**
 * Reads and drains one node with `scontrol`, each call with a deadline: a dead controller would
 * block it for nine seconds (Slurm 22.05.8), and Slurm starts the next check meanwhile.
 *
 * Adapter: child processes.
 */

/** Beside the caller's own PATH, which slurmd leaves almost empty. */
const PATH = "/usr/bin:/usr/local/bin:/opt/slurm/bin:/usr/sbin:/bin";
/** A node's record has 2 KiB. */
const OUTPUT_CHARS_MAX = 65_536;

export type Ran = { kind: "ok"; output: string } | { kind: "failed"; why: string };

/** Never rejects; killed at `deadlineMs` of `performance.now()`. */
export async function runScontrol(argv: readonly string[], deadlineMs: number): Promise<Ran> {
  const env = { ...process.env, LC_ALL: "C" };
  const path = Bun.which("scontrol", { PATH: `${process.env["PATH"] ?? ""}:${PATH}` });
  if (path === null) return { kind: "failed", why: "scontrol is not installed here" };
  const leftMs = Math.round(deadlineMs - performance.now());
  if (leftMs <= 0) return { kind: "failed", why: "no time was left for scontrol" };
  try {
    const child = Bun.spawn([path, ...argv], { cwd: "/", env, stdio: ["ignore", "pipe", "pipe"] });
    const late = Promise.withResolvers<null>();
    const timer = setTimeout(() => late.resolve(null), leftMs);
    const text = Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    const ended = await Promise.race([text, late.promise]);
    clearTimeout(timer);
    if (ended === null) {
      child.kill("SIGKILL");
      return { kind: "failed", why: `scontrol did not answer within ${leftMs} ms` };
    }
    const [output, error, status] = ended;
    if (status === 0) return { kind: "ok", output: output.slice(0, OUTPUT_CHARS_MAX) };
    const why = (error.trim() || output.trim()).slice(0, 300).replaceAll("\n", "; ");
    return { kind: "failed", why: `scontrol exited with ${status}: ${why}` };
  } catch (cause) {
    return { kind: "failed", why: `scontrol could not be started: ${String(cause)}` };
  }
}

export type Shown = { state: readonly string[]; reason: string | null };

/** Reads a line of `scontrol -o show node`; `null` if it has no state. */
export function parseShown(line: string): Shown | null {
  const state = /(?:^| )State=(\S+)/.exec(line)?.[1];
  if (state === undefined) return null;
  const words = state.split("+").map((word) => word.replace(/[^A-Z_]/g, ""));
  return { state: words, reason: reasonIn(line) };
}

/** The user and time in brackets end the reason; the comment, if any, follows it. */
function reasonIn(line: string): string | null {
  const start = line.startsWith("Reason=") ? 0 : line.indexOf(" Reason=") + 1;
  if (start === 0 && !line.startsWith("Reason=")) return null;
  const rest = line.slice(start + "Reason=".length);
  for (let from = 0; ;) {
    const close = rest.indexOf("]", from);
    if (close === -1) return null;
    const part = rest.slice(from, close);
    const open = part.lastIndexOf(" [");
    const inner = open === -1 ? "" : part.slice(open + 2);
    if (inner.includes("@") && !inner.includes("[")) return rest.slice(0, from + open);
    from = close + 1;
  }
}

/**
 * Makes and clears the temporary folder of one test run. Every file that a test writes is in it,
 * and every process that a test starts refers to it, so that whatever a killed test leaves is
 * found.
 *
 * Adapter: files, processes.
 */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const NAME = /^navarch-test-(\d+)-/;

/** Time for machines to stop on a busy host; usually there are none. */
const CLEAR_MS_MAX = 60_000;
/** Grace for processes that the last test signalled just before it ended. */
const GRACE_MS = 2_000;
/** Time after the signal until the kernel has removed the process. */
const GONE_MS_MAX = 5_000;
const LOOK_MS = 20;

/** Clean-up scripts of machine beds. Not searched deeper, because disk images are there. */
const BEDS = ["*/clear.sh", "*/*/clear.sh", "*/*/*/clear.sh"] as const;

/** A new folder, named after this process. */
export function openScratch(root: string = tmpdir()): string {
  const folder = mkdtempSync(join(root, `navarch-test-${process.pid}-`));
  // munged demands that each user may pass through the folders above its socket.
  chmodSync(folder, 0o711);
  return folder;
}

/** Removes what killed test runs left; returns a line for each thing removed. */
export async function clearStale(root: string = tmpdir()): Promise<string[]> {
  const left: string[] = [];
  for (const name of readdirSync(root)) {
    const pid = Number(NAME.exec(name)?.[1] ?? "0");
    if (pid === 0 || isAlive(pid)) continue;
    const folder = join(root, name);
    left.push(...(await clearScratch(folder, 0)), `folder ${folder}`);
  }
  return left;
}

/**
 * Ends the run's processes and machines and removes the folder. Returns a line for each process
 * that a test did not end within `graceMs`.
 */
export async function clearScratch(folder: string, graceMs: number = GRACE_MS): Promise<string[]> {
  const patientMs = performance.now() + graceMs;
  while (performance.now() < patientMs && processesOf(folder).length > 0) await Bun.sleep(LOOK_MS);
  const left = (await endProcesses(folder)).map((words) => `process ${words}`);
  const scripts = BEDS.flatMap((glob) => [...new Bun.Glob(glob).scanSync(folder)]);
  await Promise.all(scripts.map((script) => run(["sh", join(folder, script)])));
  // What remains are the machines' own programs.
  await endProcesses(folder);
  // One file system: a mount that is still there is not emptied.
  await run(["rm", "-rf", "--one-file-system", folder]);
  return left;
}

async function run(command: string[]): Promise<void> {
  const child = Bun.spawn(command, {
    cwd: "/",
    stdio: ["ignore", "ignore", "ignore"],
    timeout: CLEAR_MS_MAX,
    killSignal: "SIGKILL",
  });
  await child.exited;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: another user's process, alive.
    return !(error instanceof Error && "code" in error && error.code === "ESRCH");
  }
}

/** Kills the run's processes until there is none; returns their command lines. */
async function endProcesses(folder: string): Promise<string[]> {
  const ended = new Map<number, string>();
  const endMs = performance.now() + GONE_MS_MAX;
  for (;;) {
    const found = processesOf(folder);
    for (const { pid, words } of found) {
      ended.set(pid, words);
      if (isAlive(pid)) process.kill(pid, "SIGKILL");
    }
    if (found.length === 0 || performance.now() > endMs) return [...ended.values()];
    await Bun.sleep(LOOK_MS);
  }
}

/** Processes with the folder in their environment, working directory or command line. */
function processesOf(folder: string): { pid: number; words: string }[] {
  return readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    const words = read(() => readFileSync(`/proc/${pid}/cmdline`, "utf8"));
    // A process that has ended and waits for its parent has no command line.
    if (words === "") return [];
    const place = read(() => readlinkSync(`/proc/${pid}/cwd`));
    const env = read(() => readFileSync(`/proc/${pid}/environ`, "utf8"));
    const isOurs = [words, place, env].some((text) => text.includes(folder));
    return isOurs ? [{ pid, words: words.replaceAll("\0", " ").trim() }] : [];
  });
}

/** Empty for a process that is gone or not readable. */
function read(from: () => string): string {
  try {
    return from();
  } catch {
    return "";
  }
}

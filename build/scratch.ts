/**
 * Makes and clears the temporary folder of one test run. Every file that a test writes is in it,
 * and every process that a test starts refers to it, so that whatever a killed test leaves is
 * found.
 *
 * Adapter: files, processes.
 */
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
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

/** In memory on Linux: a test that waits for a disk at each commit waits half of its time. */
const MEMORY = "/dev/shm";
/** What the ordinary tests hold at a time is a tenth of it. */
const MEMORY_BYTES_MIN = 4 * 1024 ** 3;

/** Where folders of runs may lie: the folder in memory first, if it is there. */
export const ROOTS: readonly string[] = [MEMORY, tmpdir()].filter((root) => existsSync(root));

/** A folder in memory if there is one with room, whose files may be run; else the usual one. */
export function fastRoot(memory: string = MEMORY): string {
  if (!existsSync(memory)) return tmpdir();
  const { bavail, bsize } = statfsSync(memory);
  return bavail * bsize >= MEMORY_BYTES_MIN && runsFrom(memory) ? memory : tmpdir();
}

/** A container's is often mounted so that nothing in it can be run. */
function runsFrom(root: string): boolean {
  const folder = mkdtempSync(join(root, `navarch-test-${process.pid}-`));
  try {
    const script = join(folder, "true");
    writeFileSync(script, "#!/bin/sh\n", { mode: 0o755 });
    return Bun.spawnSync([script]).exitCode === 0;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A new folder, named after this process. */
export function openScratch(root: string = tmpdir()): string {
  const folder = mkdtempSync(join(root, `navarch-test-${process.pid}-`));
  // munged demands that each user may pass through the folders above its socket.
  chmodSync(folder, 0o711);
  return folder;
}

/** Removes what killed test runs left; returns a line for each thing removed. */
export async function clearStale(roots: readonly string[] = ROOTS): Promise<string[]> {
  const left: string[] = [];
  const folders = roots.flatMap((root) => readdirSync(root).map((name) => ({ root, name })));
  for (const { root, name } of folders) {
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

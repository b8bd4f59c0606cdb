/**
 * A copy of this working tree in a folder for temporary files, in which faults may be built:
 * everything that git knows or would take, and the installed packages by a link. Adapter: writes
 * files.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const ROOT = join(import.meta.dir, "..");

/** The folder of the copy; who asked for it removes it. */
export function copyTree(prefix: string): string {
  const scratch = mkdtempSync(join(tmpdir(), prefix));
  for (const path of listTree()) {
    mkdirSync(dirname(join(scratch, path)), { recursive: true });
    cpSync(join(ROOT, path), join(scratch, path));
  }
  symlinkSync(join(ROOT, "node_modules"), join(scratch, "node_modules"));
  return scratch;
}

/** Paths of the files that exist now, committed or not, without those that git ignores. */
export function listTree(): string[] {
  const listed = Bun.spawnSync(["git", "ls-files", "-co", "--exclude-standard", "-z"], {
    cwd: ROOT,
  });
  // Deleted but not yet committed, or a folder of its own.
  return listed.stdout
    .toString()
    .split("\0")
    .filter((path) => path !== "" && existsSync(join(ROOT, path)))
    .filter((path) => statSync(join(ROOT, path)).isFile());
}

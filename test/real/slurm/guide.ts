/**
 * A copy of the Slurm guide's root in which its command lines run: the compiled program under
 * `bin/`, and the tests' own kubectl first on the path.
 *
 * Adapter: files, processes.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../../build/product.ts";
import { NAVARCH } from "../../fixture/plane/plane.ts";
import { HOST_ENV, runCommand, type Ran } from "../../fixture/machine/command.ts";
import { binaryPath } from "../kubernetes/binary.ts";

export const GUIDE_ROOT = join(ROOT, "deploy/guide/slurm");
export const MANIFESTS = "k8s-manifests/hpc-slurm";

const LIMIT_MS = 120_000;

export class Guide {
  readonly folder = mkdtempSync(join(tmpdir(), "navarch-guide-"));
  private readonly env: Readonly<Record<string, string>>;

  constructor(kubeconfig: string) {
    cpSync(GUIDE_ROOT, this.folder, { recursive: true });
    const [bin, tools] = [join(this.folder, "bin"), join(this.folder, ".tools")];
    for (const made of [bin, tools]) mkdirSync(made, { recursive: true });
    rmSync(join(bin, "navarch"), { force: true });
    symlinkSync(NAVARCH, join(bin, "navarch"));
    symlinkSync(binaryPath("kubectl"), join(tools, "kubectl"));
    const path = `${tools}:${HOST_ENV["PATH"] ?? ""}`;
    this.env = { ...HOST_ENV, PATH: path, HOME: this.folder, KUBECONFIG: kubeconfig };
  }

  /** One command line of the guide, in its root. */
  sh(line: string, more: Readonly<Record<string, string>> = {}): Promise<Ran> {
    const env = { ...this.env, ...more };
    const script = 'cd "$1" && eval "$2"';
    return runCommand(["sh", "-c", script, "sh", this.folder, line], { env, limitMs: LIMIT_MS });
  }

  /** Its output; throws unless it exits with 0. */
  async must(line: string): Promise<string> {
    const ran = await this.sh(line);
    if (ran.code !== 0) throw new Error(`${line}: ${ran.code}\n${ran.stdout}${ran.stderr}`);
    return ran.stdout;
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

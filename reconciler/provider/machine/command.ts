/**
 * Runs one program of the host to its end, with its output. Programs get a plain environment and
 * the folders of system programs, whatever the control plane was started with.
 *
 * Adapter: processes.
 */
export type Ran = { code: number; stdout: string; stderr: string };

/** What a program of the host finds; nothing of the caller's secrets is in it. */
export const HOST_ENV: Readonly<Record<string, string>> = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/",
  LC_ALL: "C.UTF-8",
};

export type RunOptions = {
  env?: Readonly<Record<string, string | undefined>>;
  input?: string | Uint8Array;
  /** The program is killed after it. Milliseconds. */
  limitMs?: number;
  signal?: AbortSignal;
};

/**
 * `code` is 128 + signal number for a program that was killed, as in a shell, and 127 without a
 * program of that name.
 */
export async function runCommand(
  command: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  const [program = "", ...rest] = command;
  const path = Bun.which(program, { PATH: HOST_ENV["PATH"] ?? "" });
  if (path === null) return { code: 127, stdout: "", stderr: `${program}: not found` };
  const input = options.input;
  const child = Bun.spawn([path, ...rest], {
    env: { ...(options.env ?? HOST_ENV) },
    stdin: input === undefined ? "ignore" : Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
    ...(options.limitMs === undefined ? {} : { timeout: options.limitMs, killSignal: "SIGKILL" }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const [stdout, stderr] = await Promise.all(
    [child.stdout, child.stderr].map((end) => new Response(end).text()),
  );
  const code = await child.exited;
  return { code, stdout: stdout ?? "", stderr: stderr ?? "" };
}

/** Whether the host has a program, where system programs lie. */
export function hasProgram(name: string): boolean {
  return Bun.which(name, { PATH: HOST_ENV["PATH"] ?? "" }) !== null;
}

/** What programs print must not say from where this host gets its packages. */
export function withoutAddresses(text: string): string {
  return text
    .replace(/[A-Za-z][A-Za-z0-9+.-]*:\/\/[^\s"']*/g, "(address)")
    .replace(/\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b/g, "(address)");
}

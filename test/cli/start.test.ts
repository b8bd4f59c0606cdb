/** What a control plane says that cannot start: one line of what and why, and the right status. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { navarch } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-start-"));
const taken = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
afterAll(async () => {
  await taken.stop(true);
  rmSync(folder, { recursive: true });
});

const file = join(folder, "file");
writeFileSync(file, "not a database, not a certificate\n");
const none = join(folder, "none");
const umlaut = join(folder, "umlaut");
writeFileSync(umlaut, "\u00fcmlaut\n");
let count = 0;

const NOTHING = "pools: []\nkubernetes: { enabled: false }\n";

/** Starts with this `server`, in a state folder of its own that holds `files`. */
async function start(
  server: string,
  more: { flags?: string[]; files?: Record<string, string>; state?: string; rest?: string } = {},
) {
  count += 1;
  const state = more.state ?? join(folder, `state-${count}`);
  const config = join(folder, `navarch-${count}.yaml`);
  const rest = more.rest ?? NOTHING;
  writeFileSync(config, `server: ${server}\n${rest}`);
  for (const [name, text] of Object.entries(more.files ?? {})) {
    mkdirSync(state, { recursive: true });
    writeFileSync(join(state, name), text);
  }
  const words = ["control-plane", "--config", config, "--state", state, "--log-format", "text"];
  const ended = await navarch([...words, ...(more.flags ?? [])]);
  return { ...ended, state, config, all: `${ended.out}${ended.err}` };
}

const AT = "{ address: 127.0.0.1:1 }";

type Case = { line: string; run(): ReturnType<typeof start> };

const tls = (cert: string, key: string) =>
  `{ address: 127.0.0.1:1, tls: { cert_file: ${cert}, key_file: ${key} } }`;

const MISTAKES: Case[] = [
  {
    line: `--state ${file}: is a file, expected a folder\n`,
    run: () => start(AT, { state: file }),
  },
  {
    line: `--state ${join(file, "below")}: is below a file, expected a folder\n`,
    run: () => start(AT, { state: join(file, "below") }),
  },
  {
    // Found out after the files are watched, which must not keep the process.
    line: `the token file ${umlaut}: a character that is not ASCII at character 1`,
    run: () => start(AT, { flags: ["--auth-token-file", umlaut] }),
  },
];

const hook = (text: string) =>
  `{ address: 127.0.0.1:1, notifier: { type: webhook, webhook: { ${text} } } }`;
const clusterAt = (text: string) => `pools: []\nkubernetes: { ${text} }\n`;

/** Mistakes in the file, or in what it needs here: `config validate` says the same of them. */
const WRITTEN: [line: string, server: string, rest?: string][] = [
  [`server.tls.cert_file: ${none}: no such file or folder`, tls(none, file)],
  [`server.tls.key_file: ${none}: no such file or folder`, tls(file, none)],
  [`server.tls.key_file: ${folder}: is a folder, expected a file`, tls(file, folder)],
  [`server.tls: ${file} with ${file}: the certificate cannot be read: `, tls(file, file)],
  [
    `server.auth.token_file: ${none}: no such file or folder`,
    `{ address: 127.0.0.1:1, auth: { token_file: ${none} } }`,
  ],
  [
    `server.auth.admin_token_file: ${none}: no such file or folder`,
    `{ address: 127.0.0.1:1, auth: { admin_token_file: ${none} } }`,
  ],
  [
    `server.state_path: ${folder}: is a folder, expected a file`,
    `{ address: 127.0.0.1:1, state_path: ${folder} }`,
  ],
  [
    `server.state_path: ${join(file, "below", "x.db")}: is below a file, expected a folder`,
    `{ address: 127.0.0.1:1, state_path: ${join(file, "below", "x.db")} }`,
  ],
  [
    'server.state_path: "ftp://h/x": expected a path, or the URL of a libSQL server',
    `{ address: 127.0.0.1:1, state_path: "ftp://h/x" }`,
  ],
  [
    "server.state_path: the database's address holds a credential: give it in the environment",
    `{ address: 127.0.0.1:1, state_path: "http://a:b@h/x" }`,
  ],
  [`${folder}:1:1: is a directory`, `{ address: 127.0.0.1:1, health_policy_path: ${folder} }`],
  ["expected a mapping", `{ address: 127.0.0.1:1, health_policy_path: ${file} }`],
  [
    "server.notifier.webhook.cordon_url: environment variable HOOK is not set",
    hook('cordon_url: "${HOOK}/x"'),
  ],
  [
    "server.notifier.webhook.headers.X-Key: environment variable KEY is not set",
    hook('cordon_url: "http://h", headers: { X-Key: "${KEY}" }'),
  ],
  [
    "server.notifier.webhook.secret_env: environment variable S is not set",
    hook('cordon_url: "http://h", secret_env: S'),
  ],
  [`kubernetes.kubeconfig: ${none}: `, AT, clusterAt(`kubeconfig: ${none}`)],
  ["kubernetes.kubeconfig: ", AT, clusterAt(`kubeconfig: ${file}`)],
  [
    "kubernetes.enabled: kubernetes.enabled is true, but there is no",
    AT,
    clusterAt("enabled: true"),
  ],
];

/** `STATE` stands for the state folder. */
const REFUSALS: Case[] = [
  {
    line: `cannot listen at 127.0.0.1:${taken.port} (server.address): the address is in use`,
    run: () => start(`{ address: "127.0.0.1:${taken.port}" }`),
  },
  {
    line: "cannot listen at 192.0.2.1:5000 (--addr): this machine has no such address",
    run: () => start(AT, { flags: ["--addr", "192.0.2.1:5000"] }),
  },
  {
    line: "database STATE/navarch.db: file is not a database",
    run: () => start(AT, { files: { "navarch.db": "no database".repeat(1_000) } }),
  },
  {
    line: "identity STATE/identity.json: is not JSON",
    run: () => start(AT, { files: { "identity.json": "{" } }),
  },
  {
    line: "--state /proc/navarch: cannot be made: ",
    run: () => start(AT, { state: "/proc/navarch" }),
  },
  {
    line: "database of 127.0.0.1:1: connection refused",
    run: () => start(`{ address: 127.0.0.1:1, state_path: "http://127.0.0.1:1" }`),
  },
  {
    // It listens already by then, and must not go on doing so.
    line: `--test-port-file: ${file}: is a file, expected a folder`,
    run: () =>
      start(AT, { flags: ["--addr", "127.0.0.1:0", "--test-port-file", join(file, "port")] }),
  },
];

describe("navarch control-plane that cannot start", () => {
  test.each(MISTAKES)("ends with 2 and a line of the mistake (%#)", async ({ line, run }) => {
    const { code, err, all } = await run();
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(line) });
    expect(err.trimEnd().split("\n")).toHaveLength(1);
    expect(all).not.toMatch(/\.ts:\d/);
  });

  const written = WRITTEN.map(([line, server, rest = NOTHING]) => [line, server, rest] as const);
  test.each(written)("and its validation say the same: %s", async (line, server, rest) => {
    const started = await start(server, { rest });
    const { code, err } = await navarch(["config", "validate", started.config]);
    const errors = err.split("\n").filter((one) => one !== "" && !/: (warning|note): /.test(one));
    expect({ code: started.code, err: started.err }).toEqual({
      code: 2,
      err: expect.stringContaining(line),
    });
    expect({ code, errors }).toEqual({ code: 2, errors: started.err.trimEnd().split("\n") });
    expect(errors).toHaveLength(1);
    expect(started.all).not.toMatch(/\.ts:\d/);
  });

  test("names every file that it lacks, not only the first", async () => {
    const { code, err, config } = await start(
      `{ address: 127.0.0.1:1, auth: { token_file: ${none} }, tls: ` +
        `{ cert_file: ${none}, key_file: ${none} }, health_policy_path: ${folder} }`,
      { rest: clusterAt(`kubeconfig: ${none}`) },
    );
    expect({ code, lines: err.trimEnd().split("\n").length }).toEqual({ code: 2, lines: 5 });
    expect((await navarch(["config", "validate", "--text-only", config])).code).toBe(0);
  });

  test.each(REFUSALS)("ends with 1 and a line of the log (%#)", async ({ line, run }) => {
    const { code, out, err, all, state } = await run();
    expect({ code, err }).toEqual({ code: 1, err: "" });
    expect(out).toContain(`error cannot start {"error":"${line.replace("STATE", state)}`);
    expect(all).not.toMatch(/\.ts:\d/);
  });

  test("refuses an address that can be none, from a flag and from the file", async () => {
    const [flag, written, words] = await Promise.all([
      start(AT, { flags: ["--addr", "127.0.0.1:99999"] }),
      start('{ address: "127.0.0.1:99999" }'),
      start(AT, { flags: ["--addr", "1.2.3.400:50051"] }),
    ]);
    const large = "port 99999 is too large (1 to 65535)";
    expect(flag).toMatchObject({ code: 2, err: `--addr: ${large}\n` });
    expect(written.code).toBe(2);
    expect(written.err).toMatch(/^\S+:1:20: server\.address: /);
    expect(written.err).toEndWith(`: ${large}\n`);
    expect(words).toMatchObject({ code: 2, err: "--addr: 1.2.3.400 is not an IPv4 address\n" });
  });
});

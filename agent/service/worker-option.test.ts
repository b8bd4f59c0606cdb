/** V37, V38: the file of a worker, what wins over it, and what is said of its mistakes. */
import { describe, expect, test } from "bun:test";
import { type Options, parseOptions } from "./option.ts";
import { podNameIn, POD_TOKEN_FILE, readVeldaFile, VELDA_FILE } from "./worker-option.ts";

/** The seed's ConfigMap. */
const SEED = `broker:
  address: "velda-apiserver.default.svc.cluster.local:50051"
sandbox_config:
  disk_source:
    nfs_mount_source:
      mount_options: nolock
`;
const token = (name: string): string =>
  `h.${Buffer.from(JSON.stringify({ "kubernetes.io": { pod: { name } } })).toString("base64url")}.s`;

function parse(
  argv: string[],
  files: Record<string, string>,
  env: Record<string, string> = {},
): { options: Options; warnings: string[] } {
  const answer = parseOptions(argv, env, "host", 0, (path) => files[path] ?? null);
  if (answer.kind !== "options") throw new Error(JSON.stringify(answer));
  return answer;
}

describe("V37: --pool=NAME alone, beside the seed's file", () => {
  const files = { [VELDA_FILE]: SEED, [POD_TOKEN_FILE]: token("cpu-pool-abcde") };

  test("is a complete command line", () => {
    const { options, warnings } = parse(["--pool=cpu-pool"], files);
    expect(options).toMatchObject({
      server: "http://velda-apiserver.default.svc.cluster.local:50051",
      pool: "cpu-pool",
      nodeId: "cpu-pool-abcde" as Options["nodeId"],
      worker: { slots: null, tokenFile: POD_TOKEN_FILE, graceMs: null },
      kernelLog: null,
    });
    expect(warnings).toEqual([expect.stringContaining("sandbox_config is ignored")]);
  });

  test("has its id from AGENT_NAME, then the token's pod, then the hostname", () => {
    const id = (env: Record<string, string>, more: Record<string, string> = files) =>
      String(parse([], more, env).options.nodeId);
    expect(id({ AGENT_NAME: "a1", NODE_NAME: "machine-7" })).toBe("a1");
    expect(id({ NODE_NAME: "machine-7" })).toBe("cpu-pool-abcde");
    expect(id({}, { [VELDA_FILE]: SEED })).toBe("host");
  });

  test("is a machine's agent where there is no such file", () => {
    const { options } = parse(["--pool=p"], { [POD_TOKEN_FILE]: token("x") });
    expect(options).toMatchObject({ worker: null, kernelLog: "/dev/kmsg", podTokenFile: null });
    expect(options.server).toBe("http://localhost:50051");
  });

  test("is encrypted as soon as there is something to verify or to show", () => {
    const ca = { ...files, "/run/velda/ca.crt": "PEM" };
    expect(parse([], ca).options).toMatchObject({
      server: "https://velda-apiserver.default.svc.cluster.local:50051",
      caFile: "/run/velda/ca.crt",
    });
    const said = { ...ca, [VELDA_FILE]: 'broker: { address: "http://c:1" }' };
    expect(parse([], said).options.server).toBe("http://c:1");
    const mtls = "{ mtls_client_cert_path: /c, mtls_client_key_path: /k }";
    const shown = { [VELDA_FILE]: `broker: { address: "c:1" }\ndaemon_config: ${mtls}` };
    expect(parse([], shown).options).toMatchObject({ server: "https://c:1", clientKeyFile: "/k" });
  });
});

describe("V38: the file", () => {
  const file =
    "broker: {address: 'c:1'}\npool: p1\ndaemon_config: {max_sessions: 4, agent_name: n}";
  const files = { "/x/velda.yaml": file, "/x/token": token("t") };

  test("gives server, pool, slots and name, and flags win over it", () => {
    const config = ["--config", "/x/velda.yaml", "--token-file", "/x/token"];
    expect(parse(config, files).options).toMatchObject({
      server: "http://c:1",
      pool: "p1",
      nodeId: "n" as Options["nodeId"],
      worker: { slots: 4, tokenFile: "/x/token" },
    });
    const flags = [...config, "--server=d:2", "--pool=p2", "--node-id=m", "--grace=90s"];
    expect(parse(flags, files).options).toMatchObject({
      server: "http://d:2",
      pool: "p2",
      nodeId: "m" as Options["nodeId"],
      worker: { graceMs: 90_000 },
    });
  });

  test("with a bad value is an error that names file and key", () => {
    const cases: [string, string][] = [
      ["daemon_config: {max_sessions: 0}", "/f: daemon_config.max_sessions must be 1 to 1024"],
      ["daemon_config: {max_sessions: '2'}", "daemon_config.max_sessions must be 1 to 1024"],
      ["broker: c:1", "/f: broker must be a mapping"],
      ["broker: {address: ''}", "/f: broker.address must be text"],
      ["[]", "/f: the file must be a mapping"],
      ["a: [", "/f is not YAML"],
      [
        "daemon_config: {mtls_client_cert_path: /c}",
        "daemon_config.mtls_client_key_path is missing",
      ],
    ];
    for (const [text, words] of cases) {
      const answer = readVeldaFile(text, "/f");
      expect(answer.kind === "bad" ? answer.message : answer.kind).toContain(words);
    }
  });

  test("with an unknown key names the nearest one, and __proto__ is one", () => {
    const answer = readVeldaFile("brokr: {}\n__proto__: {}\nzzzzzzz: 1", "/f");
    expect(answer).toMatchObject({
      warnings: [
        "/f: unknown key brokr is ignored (did you mean broker?)",
        ...["/f: unknown key __proto__ is ignored", "/f: unknown key zzzzzzz is ignored"],
      ],
    });
  });

  test("that is named and missing is an error", () => {
    const answer = parseOptions(["--config=/none"], {}, "h", 0, () => null);
    expect(answer).toEqual({ kind: "bad", message: "--config /none cannot be read" });
  });
});

test("podNameIn() reads no name out of something else", () => {
  for (const text of [null, "", "a.b.c", "h.e30.s", "h.bnVsbA.s"])
    expect(podNameIn(text)).toBeNull();
});

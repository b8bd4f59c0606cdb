import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openTlsServer } from "../../test/fixture/kubernetes/tls-server.ts";
import type { TlsServer } from "../../test/fixture/kubernetes/tls-server.ts";
import { openAuthority } from "../../test/real/kubernetes/certificate.ts";
import type { Clock } from "../core/clock.ts";
import { openClient } from "./client.ts";
import { openTransport, ownNamespace } from "./connect.ts";
import type { Transport, TransportPorts, TransportSettings } from "./connect.ts";

const authority = openAuthority("ours", Date.now());
const admin = authority.issue({ name: "admin" });
const base64 = (text: string) => Buffer.from(text).toString("base64");

/** Real timers; what the clock shows is stepped by the test. */
function openClock(): Clock & { step(ms: number): void; fire(): void } {
  let aheadMs = 0;
  const timers = new Set<() => void>();
  return {
    wallMs: () => Date.now() + aheadMs,
    monoMs: () => performance.now() + aheadMs,
    after(ms, work) {
      const run = () => {
        cancel();
        work();
      };
      const timer = setTimeout(run, ms);
      const cancel = () => {
        clearTimeout(timer);
        timers.delete(run);
      };
      timers.add(run);
      return cancel;
    },
    step(ms) {
      aheadMs += ms;
    },
    fire() {
      for (const run of [...timers]) run();
    },
  };
}

let server: TlsServer;
/** Tokens that the server takes. */
let good = new Set<string>();
let folder = "";
let clock = openClock();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "navarch-connect-"));
  server = await openTlsServer(authority, (request, name) => {
    const token = request.headers.get("authorization")?.replace("Bearer ", "") ?? "";
    const basic = token === `Basic ${btoa("joe:pw")}`;
    if (name === null && !good.has(token) && !basic) {
      const status = { kind: "Status", status: "Failure", code: 401, reason: "Unauthorized" };
      return Response.json(status, { status: 401 });
    }
    const as = request.headers.get("impersonate-user");
    return Response.json({ name: as ?? name ?? (basic ? "joe" : token) });
  });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

let files = 0;
const write = (content: string, name = `file-${++files}`): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const kubeconfig = (user: object, cluster: object = {}): string =>
  write(
    JSON.stringify({
      "current-context": "test",
      clusters: [
        {
          name: "c",
          cluster: {
            server: server.url,
            "certificate-authority-data": base64(authority.certificate),
            ...cluster,
          },
        },
      ],
      users: [{ name: "u", user }],
      contexts: [{ name: "test", context: { cluster: "c", user: "u" } }],
    }),
  );

const SETTINGS: TransportSettings = { enabled: "auto", kubeconfig: null, context: null };
const nowhere = (): Partial<TransportPorts> => ({
  clock,
  root: join(folder, "no-root"),
  homeFolder: join(folder, "no-home"),
});
const open = (
  settings: Partial<TransportSettings>,
  env: Record<string, string | undefined> = {},
  ports: Partial<TransportPorts> = {},
) => openTransport({ ...SETTINGS, ...settings }, env, { ...nowhere(), ...ports });

async function opened(user: object, cluster: object = {}, env: Record<string, string> = {}) {
  const result = await open({ kubeconfig: kubeconfig(user, cluster) }, env);
  if (result.kind !== "ok") throw new Error(JSON.stringify(result));
  return result;
}

/** Who the server takes us for. */
async function whoami(transport: Transport): Promise<string> {
  const api = openClient(transport, { clock, count: () => {}, userAgent: "t" });
  const answer = await api.call({ verb: "get", path: "/me", timeoutMs: 10_000, lane: "read" });
  if (answer.kind === "ok") return JSON.stringify(answer.body);
  return answer.kind === "lost" ? answer.message : String(answer.status);
}
const me = (name: string) => JSON.stringify({ name });

describe("openTransport() finds the cluster", () => {
  const envFor = (path: string) => ({ KUBECONFIG: path });
  const inCluster = () => {
    const root = join(folder, `root-${++files}`);
    const account = join(root, "var/run/secrets/kubernetes.io/serviceaccount");
    mkdirSync(account, { recursive: true });
    writeFileSync(join(account, "token"), "pod-token\n");
    writeFileSync(join(account, "ca.crt"), authority.certificate);
    const { hostname, port } = new URL(server.url);
    const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
    return { env, ports: { root }, account };
  };

  test("is off when it is off, and absent when nothing speaks of one", async () => {
    const path = kubeconfig({ token: "x" });
    expect(await open({ enabled: false, kubeconfig: path })).toEqual({ kind: "off" });
    expect(await open({})).toEqual({ kind: "absent" });
    // Not even with a kubeconfig at home: that is a person's, and nobody asked.
    const home = join(folder, "home");
    mkdirSync(join(home, ".kube"), { recursive: true });
    writeFileSync(join(home, ".kube", "config"), readFileSync(path));
    expect(await open({}, {}, { homeFolder: home })).toEqual({ kind: "absent" });
    const asked = await open({ enabled: true }, {}, { homeFolder: home });
    expect(asked).toMatchObject({ kind: "ok", transport: { name: "test" } });
    const tilde = await open({ kubeconfig: "~/.kube/config" }, {}, { homeFolder: home });
    expect(tilde).toMatchObject({ kind: "ok" });
  });

  test("fails when it is asked for and there is none", async () => {
    const result = await open({ enabled: true });
    expect(result).toMatchObject({ kind: "failed" });
    expect(JSON.stringify(result)).toContain("there is no cluster in kubernetes.kubeconfig");
    expect(await open({ context: "prod" })).toMatchObject({ kind: "failed" });
  });

  test("V10: prefers the named file, then the pod's account, then KUBECONFIG", async () => {
    const { env, ports } = inCluster();
    const path = kubeconfig({ token: "x" });
    const all = { ...env, ...envFor(path) };
    expect(await open({ kubeconfig: path }, all, ports)).toMatchObject({
      transport: { name: "test" },
    });
    expect(await open({}, all, ports)).toMatchObject({
      kind: "ok",
      transport: { name: "in-cluster", server: server.url },
    });
    expect(await open({}, envFor(path))).toMatchObject({ transport: { name: "test" } });
    // A context is a word of kubeconfigs.
    expect(await open({ context: "test" }, all, ports)).toMatchObject({
      transport: { name: "test" },
    });
  });

  test("W5: for workflows KUBECONFIG wins over the pod's account, which wins over the home", async () => {
    const { env, ports } = inCluster();
    const path = kubeconfig({ token: "x" });
    const homeFolder = join(folder, "home-of-pod");
    mkdirSync(join(homeFolder, ".kube"), { recursive: true });
    writeFileSync(join(homeFolder, ".kube", "config"), readFileSync(path));
    const settings = { enabled: true, isEnvironmentFirst: true };
    const inPod = { ...ports, homeFolder };
    expect(await open(settings, { ...env, ...envFor(path) }, inPod)).toMatchObject({
      transport: { name: "test" },
    });
    expect(await open(settings, env, inPod)).toMatchObject({ transport: { name: "in-cluster" } });
    expect(await open(settings, {}, { homeFolder })).toMatchObject({ transport: { name: "test" } });
  });

  test("talks as the pod's account, also after its token rotated", async () => {
    clock = openClock();
    const { env, ports, account } = inCluster();
    good = new Set(["pod-token"]);
    const result = await open({}, env, ports);
    if (result.kind !== "ok") throw new Error("not opened");
    expect(await whoami(result.transport)).toBe(me("pod-token"));
    writeFileSync(join(account, "token"), "second");
    good = new Set(["pod-token", "second"]);
    expect(await whoami(result.transport)).toBe(me("pod-token"));
    clock.step(60_001);
    expect(await whoami(result.transport)).toBe(me("second"));
    writeFileSync(join(account, "token"), "third");
    good = new Set(["third"]);
    expect(await whoami(result.transport)).toBe(me("third"));
  });

  test("brackets an IPv6 address of the service", async () => {
    const { env, ports } = inCluster();
    const result = await open({}, { ...env, KUBERNETES_SERVICE_HOST: "fd00::1" }, ports);
    const server6 = `https://[fd00::1]:${new URL(server.url).port}`;
    expect(result).toMatchObject({ transport: { server: server6 } });
  });

  test("passes over what KUBECONFIG lists and is not there, unless nothing is", async () => {
    const path = kubeconfig({ token: "x" });
    const gone = join(folder, "gone");
    expect(await open({}, envFor(`${gone}:${path}`))).toMatchObject({ kind: "ok" });
    expect(await open({}, envFor(gone))).toEqual({
      kind: "failed",
      message: `${gone}: expected a kubeconfig, found no such file`,
    });
  });

  test("fails on a named file that is no file, no YAML or has no such context", async () => {
    const path = kubeconfig({ token: "s3cret-token" });
    const cases: [Partial<TransportSettings>, string][] = [
      [{ kubeconfig: folder }, `${folder}: expected a kubeconfig, not readable: EISDIR`],
      [{ kubeconfig: write("a: [") }, "expected YAML"],
      [{ kubeconfig: path, context: "tset" }, 'no context "tset"; did you mean "test"?'],
    ];
    for (const [settings, message] of cases) {
      const result = await open(settings);
      expect(result).toMatchObject({ kind: "failed" });
      expect(JSON.stringify(result)).toContain(JSON.stringify(message).slice(1, -1));
      expect(JSON.stringify(result)).not.toContain("s3cret");
    }
  });

  test("fails on certificate and token files that are missing, empty or huge", async () => {
    const missing = join(folder, "missing");
    const huge = write("x".repeat(1024 * 1024 + 1));
    const cases: [object, object, string][] = [
      [{ tokenFile: missing }, {}, `${missing}: expected a token, found no such file`],
      [{ tokenFile: write("\n") }, {}, "expected a token, found it empty"],
      [{ tokenFile: huge }, {}, "found it larger than 1 MiB"],
      [
        { "client-certificate": missing, "client-key": missing },
        {},
        `${missing}: expected a client certificate in PEM, found no such file`,
      ],
      [
        {},
        { "certificate-authority-data": "", "certificate-authority": missing },
        `${missing}: expected certificates in PEM, found no such file`,
      ],
    ];
    for (const [user, cluster, message] of cases) {
      const result = await open({ kubeconfig: kubeconfig(user, cluster) });
      expect(result).toMatchObject({ kind: "failed" });
      expect(JSON.stringify(result)).toContain(message);
    }
  });
});

describe("openTransport() proves who we are", () => {
  test("by a client certificate inline and in files", async () => {
    good = new Set();
    const inline = {
      "client-certificate-data": base64(admin.certificate),
      "client-key-data": base64(admin.key),
    };
    expect(await whoami((await opened(inline)).transport)).toBe(me("admin"));
    const named = {
      "client-certificate": write(admin.certificate),
      "client-key": write(admin.key),
    };
    const ca = write(authority.certificate);
    const cluster = { "certificate-authority-data": "", "certificate-authority": ca };
    expect(await whoami((await opened(named, cluster)).transport)).toBe(me("admin"));
  });

  test("by a certificate that was renewed in its files", async () => {
    clock = openClock();
    const [cert, key] = [write(admin.certificate), write(admin.key)];
    const { transport } = await opened({ "client-certificate": cert, "client-key": key });
    expect(await whoami(transport)).toBe(me("admin"));
    const renewed = authority.issue({ name: "admin-2" });
    writeFileSync(cert, renewed.certificate);
    writeFileSync(key, renewed.key);
    clock.step(60_001);
    expect(await whoami(transport)).toBe(me("admin-2"));
  });

  test("by a token, by a token file over it, by a password", async () => {
    good = new Set(["t1", "t2"]);
    expect(await whoami((await opened({ token: "t1" })).transport)).toBe(me("t1"));
    const both = { token: "t1", tokenFile: write("t2\n") };
    expect(await whoami((await opened(both)).transport)).toBe(me("t2"));
    const basic = { username: "joe", password: "pw" };
    expect(await whoami((await opened(basic)).transport)).toBe(me("joe"));
  });

  test("not at all with a wrong token, and impersonating with a good one", async () => {
    good = new Set(["t1"]);
    expect(await whoami((await opened({ token: "nope" })).transport)).toBe("401");
    const user = { token: "t1", as: "alice" };
    expect(await whoami((await opened(user)).transport)).toBe(me("alice"));
  });

  test("keeps the last token while its file is being replaced", async () => {
    clock = openClock();
    good = new Set(["t1"]);
    const path = write("t1");
    const { transport } = await opened({ tokenFile: path });
    rmSync(path);
    clock.step(60_001);
    expect(await whoami(transport)).toBe(me("t1"));
  });

  test("warns of a server that is not verified, or not even encrypted", async () => {
    good = new Set(["t1"]);
    const cluster = { "certificate-authority-data": "", "insecure-skip-tls-verify": true };
    const { transport, warnings } = await opened({ token: "t1" }, cluster);
    expect(await whoami(transport)).toBe(me("t1"));
    expect(warnings).toEqual([expect.stringContaining("insecure-skip-tls-verify")]);
    const plain = await opened({ token: "t1" }, { server: "http://k.example" });
    expect(plain.warnings).toEqual([expect.stringContaining("not encrypted")]);
    const named = await opened({ token: "t1" }, { server: "http://127.k.example" });
    expect(named.warnings).toEqual([expect.stringContaining("not encrypted")]);
    expect((await opened({ token: "t1" })).warnings).toEqual([]);
  });

  test("verifies the name that the kubeconfig gives", async () => {
    good = new Set(["t1"]);
    const right = { "tls-server-name": "api.example" };
    expect(await whoami((await opened({ token: "t1" }, right)).transport)).toBe(me("t1"));
    const wrong = { "tls-server-name": "other.example" };
    expect(await whoami((await opened({ token: "t1" }, wrong)).transport)).toContain("ALTNAME");
  });
});

describe("openTransport() with a credential plugin", () => {
  const V1 = "client.authentication.k8s.io/v1";
  const PATH = process.env["PATH"] ?? "";
  /** A plugin that is a shell script; it counts its runs in a file beside it. */
  function plugin(body: string, more: object = {}) {
    const name = `plugin-${++files}`;
    const path = write(`#!/bin/sh\nprintf x >>"$0.runs"\n${body}\n`, name);
    chmodSync(path, 0o755);
    const runs = () => {
      try {
        return readFileSync(`${path}.runs`).length;
      } catch {
        return 0;
      }
    };
    return { exec: { apiVersion: V1, command: `./${name}`, ...more }, path, runs };
  }
  const answer = (status: object, apiVersion = V1): string =>
    `cat <<'END'\n${JSON.stringify({ apiVersion, kind: "ExecCredential", status })}\nEND`;
  const start = async (exec: object, env: Record<string, string> = {}) => {
    const result = await opened({ exec }, {}, { PATH, ...env });
    return result.transport;
  };

  test("takes its token, and runs it once for many calls at once", async () => {
    clock = openClock();
    good = new Set(["p1"]);
    const { exec, runs } = plugin(answer({ token: "p1" }));
    const transport = await start(exec);
    expect(runs()).toBe(0);
    const names = await Promise.all(Array.from({ length: 20 }, () => whoami(transport)));
    expect(new Set(names)).toEqual(new Set([me("p1")]));
    expect(runs()).toBe(1);
  });

  test("takes its client certificate, and v1beta1", async () => {
    clock = openClock();
    const beta = "client.authentication.k8s.io/v1beta1";
    const status = {
      clientCertificateData: admin.certificate,
      clientKeyData: admin.key,
    };
    const { exec } = plugin(answer(status, beta), { apiVersion: beta });
    expect(await whoami(await start(exec))).toBe(me("admin"));
  });

  test("runs again shortly before the end, and after a refusal", async () => {
    clock = openClock();
    good = new Set(["p1"]);
    const until = new Date(clock.wallMs() + 600_000).toISOString();
    const { exec, runs } = plugin(answer({ token: "p1", expirationTimestamp: until }));
    const transport = await start(exec);
    await whoami(transport);
    clock.step(580_000);
    await whoami(transport);
    expect(runs()).toBe(1);
    clock.step(15_000);
    await whoami(transport);
    expect(runs()).toBe(2);
    // It still gives the token that ends: not in a loop.
    await whoami(transport);
    expect(runs()).toBe(2);

    const rotating = plugin(`T=$(wc -c <"$0.runs" | tr -d ' ')\n${answer({ token: "p$T" })}`);
    const script = readFileSync(rotating.path, "utf8").replace("<<'END'", "<<END");
    writeFileSync(rotating.path, script);
    const second = await start(rotating.exec);
    good = new Set(["p1"]);
    expect(await whoami(second)).toBe(me("p1"));
    good = new Set(["p2"]);
    clock.step(5_001);
    expect(await whoami(second)).toBe(me("p2"));
    // Refused for good: one run in five seconds, not one a call.
    good = new Set();
    for (let call = 0; call < 5; call += 1) expect(await whoami(second)).toBe("401");
    expect(rotating.runs()).toBe(2);
  });

  test("gives it an environment of its own, and the cluster if it asks", async () => {
    clock = openClock();
    const seen = join(folder, "seen");
    const { exec } = plugin(`env >${seen}\n${answer({ token: "p1" })}`, {
      env: [{ name: "FROM_CONFIG", value: "yes" }],
      provideClusterInfo: true,
    });
    const env = { AWS_PROFILE: "gpu", NAVARCH_AUTH_TOKEN: "ours", BUN_OPTIONS: "--smol" };
    await whoami(await start(exec, env));
    const passed = readFileSync(seen, "utf8");
    expect(passed).toContain("AWS_PROFILE=gpu");
    expect(passed).toContain("FROM_CONFIG=yes");
    expect(passed).not.toContain("NAVARCH_AUTH_TOKEN");
    expect(passed).not.toContain("BUN_OPTIONS");
    const info: unknown = JSON.parse(/^KUBERNETES_EXEC_INFO=(.*)$/m.exec(passed)?.[1] ?? "");
    expect(info).toMatchObject({
      apiVersion: V1,
      kind: "ExecCredential",
      spec: { interactive: false, cluster: { server: server.url } },
    });
  });

  const long = "A".repeat(60);
  test.each<[string, string, string]>([
    ["fails", `echo "no session, token ${long} refused" >&2; exit 3`, "exit status 3: no session"],
    ["prints no JSON", "echo hello", "expected an ExecCredential in JSON"],
    ["prints another thing", 'echo \'{"kind":"Pod"}\'', "expected an ExecCredential, not so at"],
    ["prints no credential", answer({}), "expected a token, or a client certificate"],
    [
      "prints another version",
      answer({ token: "a" }, "client.authentication.k8s.io/v1beta1"),
      `expected apiVersion ${V1}`,
    ],
    [
      "prints a date that is none",
      answer({ token: "a", expirationTimestamp: "soon" }),
      "unreadable expirationTimestamp",
    ],
  ])("says so when it %s, and does not run it in a loop", async (_what, body, message) => {
    clock = openClock();
    const { exec, runs } = plugin(body);
    const transport = await start(exec);
    for (let call = 0; call < 3; call += 1) {
      const said = await whoami(transport);
      expect(said).toContain(message);
      expect(said).not.toContain(long);
    }
    expect(runs()).toBe(1);
    clock.step(5_001);
    await whoami(transport);
    expect(runs()).toBe(2);
  });

  test("says so when it cannot be started, with the hint how to install it", async () => {
    clock = openClock();
    const exec = { apiVersion: V1, command: "no-such-plugin", installHint: "get it at x.example" };
    const said = await whoami(await start(exec));
    expect(said).toContain("credential plugin no-such-plugin: could not be started");
    expect(said).toContain("get it at x.example");
    const text = { apiVersion: V1, command: write("no program") };
    expect(await whoami(await start(text))).toContain("could not be started: EACCES");
  });

  test("ends one that prints without end, and gives it no input to wait for", async () => {
    clock = openClock();
    const endless = plugin("yes");
    expect(await whoami(await start(endless.exec))).toContain("printed more than 1 MiB");
    good = new Set(["p1"]);
    const curious = plugin(`cat\n${answer({ token: "p1" })}`);
    expect(await whoami(await start(curious.exec))).toBe(me("p1"));
  });

  test("asks it again after a refusal, not because a minute has passed", async () => {
    clock = openClock();
    good = new Set(["p1"]);
    const { exec, runs } = plugin(answer({ token: "p1\n" }));
    const transport = await start(exec);
    for (let minute = 0; minute < 3; minute += 1) {
      expect(await whoami(transport)).toBe(me("p1"));
      clock.step(60_001);
    }
    expect(runs()).toBe(1);
  });

  test("ends one that hangs, also with a child that keeps its output open", async () => {
    clock = openClock();
    const { exec, path } = plugin(`sleep 60 & echo $! >"$0.child"\necho stuck >&2\nwait`);
    const transport = await start(exec);
    const called = transport.headers().then(
      () => "answered",
      (cause: unknown) => String(cause),
    );
    const child = await readWhenThere(`${path}.child`);
    clock.fire();
    expect(await called).toContain("no answer in 30 s");
    process.kill(Number(child));
  });

  test("keeps a credential that still holds when a renewal fails", async () => {
    clock = openClock();
    good = new Set(["p1"]);
    const until = new Date(clock.wallMs() + 60_000).toISOString();
    const status = answer({ token: "p1", expirationTimestamp: until });
    const { exec, runs } = plugin(`[ $(wc -c <"$0.runs") -gt 1 ] && exit 1\n${status}`);
    const transport = await start(exec);
    expect(await whoami(transport)).toBe(me("p1"));
    clock.step(55_000);
    expect(await whoami(transport)).toBe(me("p1"));
    expect(runs()).toBe(2);
    clock.step(6_000);
    expect(await whoami(transport)).toContain("exit status 1");
  });
});

test("ownNamespace() is that of the pod, and none where no pod is", async () => {
  const account = join(folder, "own-namespace");
  mkdirSync(account);
  expect(await ownNamespace(account)).toBeNull();
  writeFileSync(join(account, "namespace"), "gpu-fleet\n");
  expect(await ownNamespace(account)).toBe("gpu-fleet");
});

/** The file's content once there is one; it is written by a child within moments. */
async function readWhenThere(path: string): Promise<string> {
  for (let tries = 0; tries < 500; tries += 1) {
    const text = await Bun.file(path)
      .text()
      .catch(() => "");
    if (text.endsWith("\n")) return text;
    await Bun.sleep(10);
  }
  throw new Error(`${path} never came`);
}

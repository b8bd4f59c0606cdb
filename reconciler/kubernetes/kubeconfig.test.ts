import { describe, expect, test } from "bun:test";
import { KubeConfig } from "@kubernetes/client-node";
import fc from "fast-check";
import { readKubeconfig } from "./kubeconfig.ts";
import type { Choice } from "./kubeconfig.ts";

const PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const base64 = (text: string) => Buffer.from(text).toString("base64");

const config = (
  more: { cluster?: object; user?: object; context?: object; top?: object } = {},
) => ({
  apiVersion: "v1",
  kind: "Config",
  "current-context": "main",
  clusters: [{ name: "c", cluster: { server: "https://k.example:6443", ...more.cluster } }],
  users: [{ name: "u", user: { token: "s3cret-token", ...more.user } }],
  contexts: [{ name: "main", context: { cluster: "c", user: "u", ...more.context } }],
  ...more.top,
});
const read = (value: unknown, context: string | null = null) =>
  readKubeconfig([{ path: "/etc/k/config", text: JSON.stringify(value) }], context);
const chosen = async (value: unknown, context: string | null = null): Promise<Choice> => {
  const result = await read(value, context);
  if (result.kind === "bad") throw new Error(result.message);
  return result.choice;
};

describe("readKubeconfig()", () => {
  test("reads cluster and user of the current context", async () => {
    expect(await chosen(config())).toEqual({
      context: "main",
      cluster: { name: "c", server: "https://k.example:6443", skipTLSVerify: false },
      user: { name: "u", token: "s3cret-token" },
      exec: null,
      impersonate: {},
    });
  });

  test("takes inline data over files, and files from the kubeconfig's own folder", async () => {
    const { cluster, user } = await chosen(
      config({
        cluster: {
          "certificate-authority": "ca.crt",
          "certificate-authority-data": base64(PEM),
          "tls-server-name": "k8s.internal",
        },
        user: { "client-certificate": "u/tls.crt", "client-key": "/run/tls.key", tokenFile: "t" },
      }),
    );
    expect(cluster).toMatchObject({ caData: base64(PEM), tlsServerName: "k8s.internal" });
    expect(cluster.caFile).toBeFalsy();
    expect(user).toMatchObject({
      certFile: "/etc/k/u/tls.crt",
      keyFile: "/run/tls.key",
      authProvider: { name: "tokenFile", config: { tokenFile: "/etc/k/t" } },
    });
    expect(user.token).toBeFalsy();
  });

  test("reads a plugin, a path of it from the kubeconfig's folder, a name as it is", async () => {
    const exec = {
      apiVersion: "client.authentication.k8s.io/v1",
      command: "./get-token",
      args: ["--cluster", 7],
      env: [{ name: "A", value: "b" }],
      interactiveMode: "IfAvailable",
      provideClusterInfo: true,
    };
    expect((await chosen(config({ user: { exec } }))).exec).toEqual({
      apiVersion: exec.apiVersion,
      command: "/etc/k/get-token",
      args: ["--cluster", "7"],
      env: exec.env,
      installHint: "",
      interactiveMode: "IfAvailable",
      provideClusterInfo: true,
    });
    const named = config({ user: { exec: { ...exec, command: "aws" } } });
    expect((await chosen(named)).exec?.command).toBe("aws");
  });

  test("merges several files: the first that names a thing wins", async () => {
    const file = (path: string, value: unknown) => ({ path, text: JSON.stringify(value) });
    const result = await readKubeconfig(
      [
        file("/a/config", {
          users: [{ name: "u", user: { tokenFile: "first" } }],
          contexts: [{ name: "other", context: { cluster: "c", user: "u" } }],
        }),
        file("/b/config", config({ top: { "current-context": "other" } })),
        file("/c/config", { ...config(), "current-context": "main" }),
      ],
      null,
    );
    expect(result).toMatchObject({
      kind: "ok",
      choice: { context: "other", user: { authProvider: { config: { tokenFile: "/a/first" } } } },
    });
  });

  test("reads no more than what was chosen: a broken neighbour harms nobody", async () => {
    const value = config();
    const broken = { name: "broken", cluster: { server: 5 } };
    const clusters = [broken, ...value.clusters];
    expect((await chosen({ ...value, clusters })).cluster.server).toBe("https://k.example:6443");
  });

  test("lets a context have no user", async () => {
    expect((await chosen(config({ context: { user: "" } }))).user).toEqual({ name: "nobody" });
  });

  test("impersonates", async () => {
    const user = { as: "alice", "as-uid": "7", "as-groups": ["ops"] };
    const choice = await chosen(config({ user }));
    // The library sends the user's name, and no more than that.
    expect(choice.user.impersonateUser).toBe("alice");
    expect(choice.impersonate).toEqual({
      "impersonate-uid": "7",
      "impersonate-group": "ops",
    });
  });

  const exec = { apiVersion: "client.authentication.k8s.io/v1", command: "x" };
  test.each<[unknown, string]>([
    ["x", "/etc/k/config: expected a mapping, found string"],
    [{ clusters: 5 }, "/etc/k/config: clusters: expected a list"],
    [{}, "/etc/k/config: no current-context and no context was named; its contexts: none"],
    [
      config({ top: { "current-context": "mian" } }),
      '/etc/k/config: no context "mian"; did you mean "main"?',
    ],
    [
      config({ top: { "current-context": "quite-different" } }),
      '/etc/k/config: no context "quite-different"; it has "main"',
    ],
    [config({ context: { cluster: "d" } }), 'contexts[0] ("main"): no cluster "d"'],
    [config({ context: { user: "v" } }), 'contexts[0] ("main"): no user "v"'],
    [
      config({ cluster: { server: undefined } }),
      'clusters[0] ("c").cluster.server: expected a value, found nothing',
    ],
    [config({ cluster: { server: "k.example:6443" } }), "expected https://host:port"],
    [config({ cluster: { server: "ftp://k.example" } }), "expected https://host:port"],
    [config({ cluster: { server: "https://u:p@k.example" } }), "without a password"],
    [config({ cluster: { "proxy-url": "socks5://p" } }), "a proxy is not supported"],
    [
      config({
        cluster: { "insecure-skip-tls-verify": true, "certificate-authority": "ca.crt" },
      }),
      "exclude each other",
    ],
    [
      config({ cluster: { "certificate-authority-data": base64("nothing") } }),
      ".cluster.certificate-authority-data: expected PEM in base64",
    ],
    [config({ user: { "client-certificate": "a" } }), "found no client-key"],
    [config({ user: { "client-key": "a" } }), "found no client-certificate"],
    [config({ user: { "auth-provider": { name: "gcp" } } }), 'auth-provider "gcp": not supported'],
    [config({ user: { "as-groups": ["a", "b"] } }), "expected one group at most"],
    [
      config({ user: { exec: { ...exec, apiVersion: "client.authentication.k8s.io/v1alpha1" } } }),
      "expected client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1",
    ],
    [config({ user: { exec: { ...exec, interactiveMode: "Always" } } }), "needs a terminal"],
    [config({ user: { exec: { ...exec, args: "a" } } }), ".user.exec.args: expected a list"],
  ])("says what is wrong with %j", async (value, message) => {
    const result = await read(value);
    if (result.kind === "ok") throw new Error("was accepted");
    expect(result.message).toContain(message);
    expect(result.message).not.toContain("s3cret-token");
  });

  test("names the line of broken YAML and quotes none of it", async () => {
    const text = 'users:\n- name: u\n  user: {token: "s3cret-token\n';
    const result = await readKubeconfig([{ path: "/c", text }], null);
    expect(result).toMatchObject({ kind: "bad" });
    expect(JSON.stringify(result)).toMatch(/\/c:\d+: expected YAML/);
    expect(JSON.stringify(result)).not.toContain("s3cret");
  });

  test("is not fooled by a bomb of aliases", async () => {
    const levels = Array.from({ length: 20 }, (_, n) =>
      n === 0 ? "a0: &a0 [x,x]" : `a${n}: &a${n} [*a${n - 1},*a${n - 1},*a${n - 1}]`,
    );
    const result = await readKubeconfig([{ path: "/c", text: levels.join("\n") }], null);
    expect(result).toMatchObject({ kind: "bad" });
  });

  test("answers every text with a choice or a message, never with a throw", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.json()), async (text) => {
        const { kind } = await readKubeconfig([{ path: "/c", text }], null);
        expect(["ok", "bad"]).toContain(kind);
      }),
    );
  });

  test("reads what the stock client reads", async () => {
    const name = fc.constantFrom("a", "b", "c", "d");
    const names = fc.uniqueArray(name, { minLength: 1 });
    const pem = fc.constantFrom(undefined, base64(PEM));
    const cluster = fc.record({
      server: fc.constantFrom("https://a.example", "https://b.example:6443/", "https://c/base"),
      "certificate-authority-data": pem,
      "tls-server-name": fc.constantFrom(undefined, "x.example"),
    });
    const user = fc.record({
      token: fc.option(fc.base64String({ minLength: 4 }), { nil: undefined }),
      "client-certificate": fc.constantFrom(undefined, "tls.crt", "/abs/tls.crt"),
      as: fc.constantFrom(undefined, "alice"),
    });
    await fc.assert(
      fc.asyncProperty(names, names, names, cluster, user, async (clusters, users, all, c, u) => {
        const key = u["client-certificate"] === undefined ? {} : { "client-key": "tls.key" };
        const value = {
          "current-context": all[0],
          clusters: clusters.map((n) => ({ name: n, cluster: c })),
          users: users.map((n) => ({ name: n, user: { ...u, ...key } })),
          contexts: all.map((n) => ({
            name: n,
            context: { cluster: clusters[0], user: users[0] },
          })),
        };
        const stock = new KubeConfig();
        stock.loadFromString(JSON.stringify(value));
        const { cluster: ours, user: me, context } = await chosen(value);
        const theirs = stock.getCurrentCluster();
        const them = stock.getCurrentUser();
        const resolved = them?.certFile?.replace(/^tls/, "/etc/k/tls");
        expect(context).toBe(stock.getCurrentContext());
        expect(ours).toEqual(expect.objectContaining({ ...theirs }));
        const { certFile, keyFile, ...rest } = me;
        expect(certFile).toBe(resolved);
        expect(keyFile).toBe(resolved === undefined ? undefined : "/etc/k/tls.key");
        expect({ ...them }).toMatchObject(rest);
      }),
      { numRuns: 100 },
    );
  });
});

/** A support dump holds no secret, and its decisions can be repeated. */
import { expect, test } from "bun:test";
import { joinsCluster } from "../../bootstrap/template/join-need.ts";
import { poolOf, settingOf } from "../../test/world/ask.ts";
import { guardKey } from "../core/safety/guard.ts";
import { openHider } from "./hide.ts";

const TOKEN = "abcdef.0123456789abcdef";
const WEBHOOK = {
  type: "webhook",
  cordonUrl: "https://hooks.example/secret-path",
  uncordonUrl: null,
  drainUrl: null,
  drainStatusUrl: null,
  timeoutMs: 1,
  headers: { Authorization: "Bearer 0123456789abcdef" },
  secretEnv: null,
  retry: { attempts: 1, initialMs: 1, maxMs: 1 },
} as const;

const pool = poolOf({
  bootstrap: { ...poolOf().bootstrap, setupCommands: [`kubeadm join --token ${TOKEN}`, "true"] },
});
const plain = settingOf({});
const config = {
  ...plain,
  pools: [pool],
  providers: plain.providers.map((one) => ({ ...one, settings: { api_key: "k-0123456789" } })),
  server: {
    ...plain.server,
    notifier: WEBHOOK,
    tracing: { otlpEndpoint: "http://collector:4318", headers: { "X-Team": "of-honeycomb-7" } },
  },
};

test("hides tokens in commands and messages, and what providers and hooks are told", () => {
  const { config: hidden, hide } = openHider(config);
  const text = JSON.stringify([
    hidden,
    hide({ why: `ann used ${TOKEN}`, of: ["--password=pw-1"] }),
  ]);
  const told = ["secret-path", "0123456789abcdef", "k-0123456789", "pw-1", "of-honeycomb-7"];
  for (const secret of [TOKEN, ...told]) expect(text).not.toContain(secret);
});

test("leaves nothing of a command but whether it is the same and joins the cluster", () => {
  const commands = ["docker login -p hunter2", "kubeadm join {{ .KubernetesServer }}", "true"];
  const { hide } = openHider(config);
  const hidden = hide({ payload: { kind: "bootstrap", commands } });
  expect(JSON.stringify(hidden)).not.toMatch(/hunter2|docker|kubeadm/);
  const [login = "", joins = "", last = ""] = (hidden as { payload: { commands: string[] } })
    .payload.commands;
  expect([login, joins, last].map((one) => joinsCluster([one]))).toEqual([false, true, false]);
  expect(new Set([login, joins, last]).size).toBe(3);
  expect(hide({ commands })).toEqual({ commands: [login, joins, last] });
  expect(hide(hidden)).toEqual(hidden);
});

test("renames what is made of hidden commands everywhere, and nothing else", () => {
  const { config: hidden, hide } = openHider(config);
  const [changed] = hidden.pools;
  if (changed === undefined) throw new Error("no pool");
  const [before, after] = [guardKey(pool, "fake/a"), guardKey(changed, "fake/a")];
  expect(before).not.toBe(after);
  expect(hide({ guards: { [before]: { failures: 3 } }, guard: before })).toEqual({
    guards: { [after]: { failures: 3 } },
    guard: after,
  });
  expect(openHider(hidden).config).toEqual(hidden);
  const same = { note: "nothing to hide", n: 1, none: null, list: [true] };
  expect(hide(same)).toEqual(same);
});

import { expect, test } from "bun:test";
import type { NotifierConfig } from "../../../schema/config.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { MemoryDatabase } from "../../../simulator/engine/sql.ts";
import { openLibsqlStore } from "../../store/libsql.ts";
import { openNotifier } from "../../server/notifier.ts";

const HOOK: Extract<NotifierConfig, { type: "webhook" }> = {
  type: "webhook",
  cordonUrl: "${HOOK}",
  uncordonUrl: null,
  drainUrl: null,
  drainStatusUrl: null,
  timeoutMs: 1_000,
  headers: { Authorization: "Bearer ${TOKEN}" },
  secretEnv: "KEY",
  retry: { attempts: 3, initialMs: 1_000, maxMs: 60_000 },
};
const ENV = { HOOK: "https://example.net/in?t=hush", TOKEN: "hush", KEY: "hush" };

async function opened(env: Record<string, string | undefined>): Promise<string> {
  const database = MemoryDatabase.empty();
  const clients = { writer: database.client(), reader: database.client() };
  const store = await openLibsqlStore({ url: "memory:", now: 1, clients });
  const from = { store, clock: new VirtualClock(), log: () => undefined, env };
  try {
    return openNotifier(HOOK, from) === null ? "nothing" : "ready";
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
}

test("openNotifier() is ready with what it needs, and with an event that is not sent", async () => {
  expect(await opened(ENV)).toBe("ready");
  expect(await opened({ ...ENV, HOOK: "" })).toBe("ready");
});

test("openNotifier() sends nothing unsigned where a signature was asked for", async () => {
  const message = "server.notifier: environment variable KEY is not set";
  expect(await opened({ ...ENV, KEY: undefined })).toBe(message);
  expect(await opened({ ...ENV, KEY: "" })).toBe(message);
});

test("openNotifier() refuses what no delivery could use, and does not quote it", async () => {
  expect(await opened({ ...ENV, HOOK: "hush.example.net" })).toBe(
    "server.notifier: filled in, ${HOOK} is not usable: not an absolute URL",
  );
  expect(await opened({ ...ENV, HOOK: "https://me:hush@example.net/" })).toContain(
    "${HOOK} is not usable: a URL must not hold a user name or password",
  );
  expect(await opened({ ...ENV, TOKEN: "hu\nsh" })).toBe(
    "server.notifier: filled in, header Authorization is not one line of ASCII text",
  );
});

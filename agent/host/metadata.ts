/**
 * Reads the cloud's metadata service for a notice that ends this machine: EC2's (IMDSv2) or Google
 * Compute Engine's. It is link-local, so no proxy is used and no redirect followed.
 *
 * Adapter: network.
 */
import { request } from "node:http";
import type { AgentNotice } from "../../schema/report.ts";
import { isInstant } from "../../schema/instant.ts";
import type { Clock } from "../port/port.ts";
import type { AskNotice, NoticeAnswer } from "./notice.ts";

/** A local service answers in milliseconds. */
const ANSWER_MS = 1_000;
const BYTES_MAX = 4_096;
/** EC2's longest life of a token, and how long this one is used. */
const TOKEN = { seconds: 21_600, usedMs: 10_800_000, form: /^[\x21-\x7e]{1,1024}$/ };

type Ask = { method: "GET" | "PUT"; path: string; headers: Record<string, string> };
type Reply = { status: number; flavor: string | undefined; text: string };

/** One exchange; rejects without a whole answer of at most `BYTES_MAX` in time. */
function exchange(base: URL, { method, path, headers }: Ask, clock: Clock): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const parts: Buffer[] = [];
  let bytes = 0;
  const sent = request(new URL(path, base), { method, headers, agent: false }, (reply) => {
    reply.on("error", reject);
    reply.on("data", (part: Buffer) => {
      bytes += part.byteLength;
      if (bytes > BYTES_MAX) return stop(`the answer has more than ${BYTES_MAX} bytes`);
      parts.push(part);
    });
    reply.on("end", () => {
      const flavor = reply.headers["metadata-flavor"];
      const text = Buffer.concat(parts).toString("utf8");
      resolve({ status: reply.statusCode ?? 0, flavor: flavor?.toString(), text });
    });
  });
  const stop = (why: string): void => {
    reject(new Error(why));
    sent.destroy();
  };
  sent.on("error", reject);
  const cancel = clock.after(ANSWER_MS, () => stop(`no answer within ${ANSWER_MS} ms`));
  sent.end();
  return promise.finally(cancel);
}

const silent = (why: string): NoticeAnswer => ({ kind: "silent", why });
const unread = (why: string): NoticeAnswer => ({ kind: "unread", why });

/** The text of an answer is not repeated in a message: it may be anything. */
async function guarded(work: () => Promise<NoticeAnswer>): Promise<NoticeAnswer> {
  try {
    return await work();
  } catch (cause) {
    return silent(cause instanceof Error ? cause.message.slice(0, 200) : "the exchange failed");
  }
}

/** `spot/instance-action` of IMDSv2: 404 until the end is announced, two minutes ahead. */
export function openEc2Notice(base: URL, clock: Clock): AskNotice {
  let token: { text: string; untilMs: number } | null = null;
  const renew = async (): Promise<string | null> => {
    const headers = {
      "x-aws-ec2-metadata-token-ttl-seconds": String(TOKEN.seconds),
      "content-length": "0",
    };
    const { status, text } = await exchange(
      base,
      { method: "PUT", path: "/latest/api/token", headers },
      clock,
    );
    if (status !== 200 || !TOKEN.form.test(text)) return null;
    token = { text, untilMs: clock.monoMs() + TOKEN.usedMs };
    return text;
  };
  return () =>
    guarded(async () => {
      const known = token !== null && clock.monoMs() < token.untilMs ? token.text : null;
      const text = known ?? (await renew());
      if (text === null) return silent("the metadata service gives no token");
      const path = "/latest/meta-data/spot/instance-action";
      const headers = { "x-aws-ec2-metadata-token": text };
      const reply = await exchange(base, { method: "GET", path, headers }, clock);
      if (reply.status === 404) return { kind: "nothing" };
      if (reply.status === 401) token = null;
      if (reply.status !== 200) return silent(`the metadata service answers ${reply.status}`);
      const notice = parseAction(reply.text);
      return notice === null
        ? unread("spot/instance-action is not the documented JSON")
        : { kind: "notice", notice };
    });
}

/** `{"action": "terminate", "time": "2017-09-18T08:22:00Z"}`. */
function parseAction(text: string): AgentNotice | null {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof read !== "object" || read === null) return null;
  const { action, time } = read as { action?: unknown; time?: unknown };
  const known = ["terminate", "stop", "hibernate"].find((one) => one === action);
  if (known === undefined) return null;
  // Without a time that can be read, the end is announced all the same.
  const at = typeof time === "string" && isInstant(time) ? time : null;
  return { kind: "preemption", at, message: `EC2 Spot interruption: ${known}` };
}

/** `instance/preempted`: FALSE, and TRUE 30 seconds before the end. */
export function openGceNotice(base: URL, clock: Clock): AskNotice {
  const path = "/computeMetadata/v1/instance/preempted";
  const headers = { "metadata-flavor": "Google" };
  const message = "Compute Engine preempts the VM: it ends within 30 s";
  return () =>
    guarded(async () => {
      const reply = await exchange(base, { method: "GET", path, headers }, clock);
      const { flavor, status, text } = reply;
      if (status !== 200) return silent(`the metadata service answers ${status}`);
      if (flavor !== "Google") return silent("the answer is not Google's metadata service's");
      const word = text.trim();
      if (word === "FALSE") return { kind: "nothing" };
      if (word !== "TRUE") return unread("instance/preempted is neither TRUE nor FALSE");
      return { kind: "notice", notice: { kind: "preemption", at: null, message } };
    });
}

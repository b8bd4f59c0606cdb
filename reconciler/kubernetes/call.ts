/**
 * Reading a whole collection in pages, so that neither side holds 150,000 pods as one text. What is
 * kept of an item is decided while its page is in hand.
 */
import type { KubeAnswer, KubeApi } from "./api.ts";
import { readObject } from "./read-field.ts";

export type ListOptions = {
  /** Of one page. */
  timeoutMs: number;
  signal?: AbortSignal;
};

export type ListAnswer<T> =
  { kind: "ok"; items: T[]; resourceVersion: string } | Exclude<KubeAnswer, { kind: "ok" }>;

/** kubectl's size too: some 5 MiB of pods, answered well within a second. */
const PAGE_ITEMS = 500;
/** A million objects; a server that goes on is not telling the truth. */
const PAGES_MAX = 2_000;

/**
 * All items at `path` (`/api/v1/pods`) and the resource version from which a watch goes on. `read`
 * keeps what it returns; `null` leaves an item out. If the pages expire on the way (410), it starts
 * once more.
 */
export function readList<T>(
  api: KubeApi,
  path: string,
  query: Readonly<Record<string, string>>,
  options: ListOptions & { read: (item: unknown) => T | null },
): Promise<ListAnswer<T>>;
export function readList(
  api: KubeApi,
  path: string,
  query: Readonly<Record<string, string>>,
  options: ListOptions,
): Promise<ListAnswer<unknown>>;
export async function readList(
  api: KubeApi,
  path: string,
  query: Readonly<Record<string, string>>,
  options: ListOptions & { read?: (item: unknown) => unknown },
): Promise<ListAnswer<unknown>> {
  const first = await readPages(api, path, query, options);
  const expired = first.kind === "refused" && first.status === 410;
  return expired ? readPages(api, path, query, options) : first;
}

async function readPages(
  api: KubeApi,
  path: string,
  query: Readonly<Record<string, string>>,
  { timeoutMs, signal, read = (item) => item }: ListOptions & { read?: (item: unknown) => unknown },
): Promise<ListAnswer<unknown>> {
  const items: unknown[] = [];
  let after = "";
  for (let page = 0; page < PAGES_MAX; page += 1) {
    if (signal?.aborted) return { kind: "lost", message: "the list was given up" };
    const answer = await api.call({
      verb: "list",
      path,
      query: { ...query, limit: String(PAGE_ITEMS), ...(after === "" ? {} : { continue: after }) },
      timeoutMs,
      lane: "read",
    });
    if (answer.kind !== "ok") return answer;
    const body = readObject(answer.body);
    const metadata = readObject(body["metadata"]);
    const { resourceVersion, continue: next } = metadata;
    // `items` is `null` for an empty list of some extension servers.
    const listed = body["items"] ?? [];
    if (!Array.isArray(listed) || typeof resourceVersion !== "string") {
      return { kind: "lost", message: `${path}: the answer is no list` };
    }
    for (const item of listed) {
      const kept = read(item);
      if (kept !== null) items.push(kept);
    }
    if (typeof next !== "string" || next === "") return { kind: "ok", items, resourceVersion };
    after = next;
  }
  return { kind: "lost", message: `${path}: more than ${PAGES_MAX} pages` };
}

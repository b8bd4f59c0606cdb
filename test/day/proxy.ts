/**
 * A proxy in front of a cloud's stand-in: counts what is answered, and makes the weather that the
 * stand-in knows nothing of: an outage, a rate limit of the whole account, lost replies.
 *
 * Adapter: HTTP.
 */
export type Sky = "fair" | "outage" | "rate limits" | "lost replies";

export type WeatherProxy = {
  url: string;
  sky: Sky;
  calls: number;
  /** Answers by status. */
  readonly statuses: Map<number, number>;
  stop(): Promise<void>;
};

export function serveWeather(upstream: string): WeatherProxy {
  let serial = 0;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      proxy.calls++;
      serial++;
      const response = await answer(request, serial);
      proxy.statuses.set(response.status, (proxy.statuses.get(response.status) ?? 0) + 1);
      return response;
    },
  });
  const pass = async (request: Request): Promise<Response> => {
    const { pathname, search } = new URL(request.url);
    const { method, headers } = request;
    const body = method === "POST" ? await request.text() : null;
    const sent = { method, headers, redirect: "manual" as const };
    const reply = await fetch(`${upstream}${pathname}${search}`, {
      ...sent,
      ...(body === null ? {} : { body }),
    });
    const text = await reply.text();
    const type = reply.headers.get("content-type") ?? "text/plain";
    return new Response(text, { status: reply.status, headers: { "content-type": type } });
  };
  const answer = async (request: Request, turn: number): Promise<Response> => {
    const isWrite = request.method !== "GET";
    if (proxy.sky === "outage") return new Response("<html>503</html>", { status: 503 });
    if (proxy.sky === "rate limits" && turn % 2 === 0) {
      return new Response("slow down", { status: 429 });
    }
    const response = await pass(request);
    // The cloud has done it, and its answer is lost on the way.
    const isLost = proxy.sky === "lost replies" && isWrite && turn % 2 === 0;
    return isLost ? new Response("<html>502</html>", { status: 502 }) : response;
  };
  const proxy: WeatherProxy = {
    url: `http://127.0.0.1:${server.port}`,
    sky: "fair",
    calls: 0,
    statuses: new Map(),
    stop: () => server.stop(true),
  };
  return proxy;
}

/** Answers that say nothing of what was done. */

export const LOSSES = ["html", "empty", "garbage", "cut"] as const;
export type Loss = (typeof LOSSES)[number];

export function lose(loss: Loss): Response {
  switch (loss) {
    case "html":
      return new Response("<html>502 Bad Gateway</html>", { status: 502 });
    case "empty":
      return new Response("", { status: 200 });
    case "garbage":
      return new Response("\u0000{]<RunInstancesResponse", { status: 200 });
    case "cut":
      return new Response('<?xml version="1.0"?><RunInstancesResponse><instancesSet><item>');
  }
}

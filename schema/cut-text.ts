/** `text`, or its beginning and `…`: a message never repeats a value of any length. Pure. */
export function cutText(text: string, max = 60): string {
  return text.length > max ? `${text.slice(0, max)}…` : text;
}

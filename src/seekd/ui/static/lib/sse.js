// Server-sent events, as the API's streams use them.

/** A reader of stream text: give it pieces in any cut, get `{ data }` and `{ comment }` of the events that are whole. */
export function createEventReader() {
  let rest = "";
  return function read(piece) {
    const blocks = (rest + piece).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    return blocks.map(readBlock);
  };
}

function readBlock(block) {
  const lines = block.split(/\r?\n/);
  const texts = (start) => lines.filter((line) => line.startsWith(start)).map((line) => line.slice(start.length).replace(/^ /, ""));
  const data = texts("data:");
  return data.length ? { data: data.join("\n") } : { comment: texts(":").join("\n") };
}

// Conversations in the browser's own database; nothing of them is kept by the server.

const NAME = "seekd-playground";
const STORE = "conversations";

let opening;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opening;
}

async function run(mode, action) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const request = action(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
    // Left to itself, a transaction is committed after its request's event: a page that is left before then loses it.
    transaction.commit();
  });
}

/** All conversations, the latest first. */
export async function loadConversations() {
  const all = await run("readonly", (store) => store.getAll());
  return all.sort((one, other) => other.updatedMs - one.updatedMs);
}

export const saveConversation = (conversation) => run("readwrite", (store) => store.put(conversation));
export const deleteConversation = (id) => run("readwrite", (store) => store.delete(id));

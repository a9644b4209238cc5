import { isPoolExhausted, isTransient } from './errors.ts';

/**
 * Once more after a conflict or a broken connection. Only for work that may be done twice: its ids are fixed
 * before the first attempt, so that the second finds what the first did although the answer to it was lost.
 */
export async function retryTransient<T>(attempt: () => Promise<T>): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    // Whoever waited for a connection, or for an answer, until the limit has waited long enough.
    const slow = isPoolExhausted(error) || /timeout/i.test((error as Error).message);
    if (!isTransient(error) || slow) throw error;
    return attempt();
  }
}

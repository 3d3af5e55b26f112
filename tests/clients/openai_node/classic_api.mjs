// The Node.js program that the classic API ends with, unchanged but for the base URL.
import OpenAI from 'openai';

const client = new OpenAI({
  apiKey: 'YOUR_API_KEY',
  baseURL: process.env.SEEKD_BASE_URL,
});

async function chatWithDeepSeek(message, conversationHistory = []) {
  conversationHistory.push({ role: 'user', content: message });

  try {
    const response = await client.chat.completions.create({
      model: 'deepseek-chat',
      messages: conversationHistory,
      temperature: 0.7,
      max_tokens: 1000
    });

    const assistantMessage = response.choices[0].message.content;
    conversationHistory.push({ role: 'assistant', content: assistantMessage });

    return { message: assistantMessage, history: conversationHistory };
  } catch (error) {
    console.error('Error:', error);
    throw error;
  }
}

// Usage
const result = await chatWithDeepSeek("Hello, how are you?");
console.log(result.message);

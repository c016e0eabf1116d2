<%@ page session="false" %>SIGNUP <%= request.getMethod() %>
